"""The report on a study that Optuna made without hpo: setup, best trials, effects of parameters."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import hpo
from hpo.checks.causes import HEALTHY
from hpo.config.objective import Objective
from hpo.reporting import formatting
from hpo.reporting.figures.points import Axis, Point, StudyPicture, choice_text
from hpo.reporting.figures.style import RUNNING, STOPPED_EARLY
from hpo.reporting.report.blocks import Block, Facts, Paragraph, Report, Section, Table, Tile
from hpo.reporting.report.trials import curves_section, slices_section
from hpo.storage.optuna.foreign import OptunaHistory, OptunaTrial
from hpo.text import counted

_CAUSES = {
    "complete": HEALTHY,
    "pruned": STOPPED_EARLY,
    "fail": "error",
    "running": RUNNING,
    "waiting": RUNNING,
}
_LEADERS = 10


def optuna_picture(history: OptunaHistory) -> StudyPicture:
    """Return the study as the pictures show it; of several objectives, the first."""
    axes = (_axis(name, each) for name, each in history.distributions.items())
    return StudyPicture(
        study=history.name,
        axes=tuple(axis for axis in axes if axis is not None),
        points=tuple(_point(trial) for trial in history.trials),
        goal=Objective(
            "value" if len(history.directions) < 2 else "value of the first objective",
            "maximize" if history.directions[:1] == ("maximize",) else "minimize",
        ),
    )


def optuna_report(history: OptunaHistory, picture: StudyPicture) -> Report:
    """Return the report, with the names of all pictures that can be drawn for it."""
    states = Counter(trial.state for trial in history.trials)
    sections = [
        _found(picture),
        _asked(history),
        slices_section(picture, "parameter"),
        curves_section(picture, "Reported values", "The values that each trial reported, by step."),
        _trials(picture),
    ]
    running = states["running"] + states["waiting"]
    return Report(
        study=history.name,
        subtitle="A study made with Optuna, without hpo: trials were not checked and have no verdicts",
        state=f"{running} of {counted(len(history.trials), 'trial')} not ended" if running else "finished",
        tiles=_tiles(history, picture, states),
        short=_summary(history, picture, states),
        sections=tuple(section for section in sections if section is not None),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by hpo {hpo.__version__}",
    )


def _axis(name: str, distribution: Any) -> Axis | None:
    """Return None for a parameter with a single value."""
    if isinstance(distribution, CategoricalDistribution):
        return Axis(name, choices=tuple(dict.fromkeys(map(choice_text, distribution.choices))))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.low >= distribution.high:
        return None
    return Axis(name, distribution.low, distribution.high, distribution.log)


def _point(trial: OptunaTrial) -> Point:
    value = trial.values.get(0) if trial.state == "complete" else None
    return Point(trial.number, _CAUSES[trial.state], value, trial.params, trial.curve)


def _tiles(history: OptunaHistory, picture: StudyPicture, states: Counter[str]) -> tuple[Tile, ...]:
    tiles = []
    if picture.ranked:
        best = picture.ranked[0]
        tiles.append(Tile(f"{best.value:.6g}", f"best {picture.objective}", f"trial {best.number}"))
    tiles.append(Tile(f"{states['complete']} of {len(history.trials)}", "trials complete"))
    ended = [trial for trial in history.trials if trial.started and trial.ended]
    if ended:
        seconds = sum(
            (trial.ended - trial.started).total_seconds() for trial in ended if trial.ended and trial.started
        )
        tiles.append(Tile(formatting.duration(seconds), "in trials", "from start to end of each"))
    return tuple(tiles)


def _summary(history: OptunaHistory, picture: StudyPicture, states: Counter[str]) -> tuple[str, ...]:
    sentences = ["no trial has a value yet"]
    if picture.ranked:
        best = picture.ranked[0]
        extreme = "largest" if picture.goal.sign > 0 else "smallest"
        sentences = [f"trial {best.number} has the {extreme} {picture.objective}: {best.value:.6g}"]
    others = {"pruned": "was pruned", "fail": "failed"}
    sentences += [
        f"{formatting.counted(states[state], 'trial')} {text}"
        for state, text in others.items()
        if states[state]
    ]
    if len(history.directions) > 1:
        sentences.append(
            f"it has {counted(len(history.directions), 'objective')}; the pictures show the first"
        )
    return tuple(sentences)


def _found(picture: StudyPicture) -> Section:
    if not picture.ranked:
        return Section("found", "Results", (Paragraph("No trial has a value yet."),))
    best = picture.ranked[0]
    return Section(
        "found",
        "Results",
        (
            Paragraph(f"Trial {best.number} has the best {picture.objective}, {best.value:.6g}."),
            Facts(tuple((name, formatting.setting(value)) for name, value in best.values.items())),
            _table(picture, picture.ranked[:_LEADERS]),
        ),
    )


def _asked(history: OptunaHistory) -> Section:
    rows = tuple((name, _describe(each)) for name, each in history.distributions.items())
    goals = ", ".join(history.directions)
    blocks: tuple[Block, ...] = (
        Facts((("objective" if len(history.directions) < 2 else "objectives", goals),)),
    )
    if rows:
        blocks = (*blocks, Table(("parameter", "searched"), rows))
    return Section("asked", "Setup", blocks)


def _describe(distribution: Any) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(choice_text, distribution.choices))
    scale = (
        "log " if distribution.log else "whole " if isinstance(distribution, IntDistribution) else "uniform "
    )
    return f"{scale}{distribution.low:g} to {distribution.high:g}"


def _trials(picture: StudyPicture) -> Section | None:
    if not picture.drawn:
        return None
    return Section("trials", "All trials", (_table(picture, list(picture.drawn), targets=True),))


def _table(picture: StudyPicture, points: list[Point], targets: bool = False) -> Table:
    names = [axis.name for axis in picture.axes if any(axis.name in point.values for point in points)]
    states = {cause: state for state, cause in _CAUSES.items() if state != "waiting"}
    rows = tuple(
        (
            str(point.number),
            "–" if point.value is None else f"{point.value:.6g}",
            states[point.cause],
            *(formatting.setting(point.values[name]) if name in point.values else "–" for name in names),
        )
        for point in points
    )
    numeric = {axis.name for axis in picture.axes if not axis.choices}
    return Table(
        ("trial", "value", "state", *names),
        rows,
        right=frozenset({"trial", "value", *numeric}),
        trials=tuple(point.number for point in points) if targets else (),
        summary=formatting.counted(len(points), "trial") if targets else "",
    )
