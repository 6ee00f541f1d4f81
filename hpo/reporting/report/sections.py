"""What a report says of a study of hpo's: the part on its result and its trials."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import hpo
from hpo.checks.causes import CAUSES, HEALTHY
from hpo.config.parsing.space import distribution_text
from hpo.config.write import study_text
from hpo.reporting import formatting
from hpo.reporting.figures.points import Axis, Point
from hpo.reporting.figures.study import failure_axis
from hpo.reporting.figures.style import cause_words, family
from hpo.reporting.formatting import test_lines
from hpo.reporting.report.appendix import check_section, cost_section, repeat_section, spent
from hpo.reporting.report.blocks import (
    Block,
    Code,
    Facts,
    Note,
    Paragraph,
    Picture,
    Points,
    Report,
    Section,
    Table,
    Tile,
)
from hpo.reporting.report.data import EXAMPLES, ReportData
from hpo.reporting.report.glossary import CAUSES_EXPLAINED
from hpo.reporting.report.pictures import layers_picture
from hpo.stages.wording import TOLD_APART

_LEADERS = 10
_MOST_ROWS = 500
"""Trials in the table of all; the pictures show no more either."""


def report_of(material: ReportData) -> Report:
    """The whole report, with the names of all pictures that can be made for it."""
    sections = [
        _found(material),
        _asked(material),
        _matters(material),
        _slices(material),
        _curves(material),
        _failures(material),
        _stages(material),
        _borders(material),
        check_section(material),
        cost_section(material),
        repeat_section(material),
        _all_trials(material),
    ]
    kept = tuple(section for section in sections if section is not None)
    return Report(
        study=material.overview.name,
        subtitle=_subtitle(material),
        state=_state(material),
        tiles=tuple(_tiles(material)),
        short=tuple(_short(material)),
        sections=kept,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by hpo {hpo.__version__}",
    )


def _subtitle(material: ReportData) -> str:
    searched = formatting.count(len(material.spec.space), "hyperparameter")
    images = material.overview.train_images
    of = f" ({images:,} training images)" if images else ""
    return f"A search over {searched} of a small image classifier on {material.overview.dataset}{of}"


def _state(material: ReportData) -> str:
    if material.overview.stopped_at is not None:
        return "stopped"
    if not material.trials:
        return "not begun"
    return f"running: {material.done} of {material.total} trials done" if material.is_running else "finished"


def _tiles(material: ReportData) -> list[Tile]:
    learned, done = len(material.results.ranked), len(material.results.trials)
    seconds, images = spent(material)
    tiles = []
    if material.winner is not None and material.winner.mean is not None:
        tiles.append(
            Tile(
                formatting.accuracy(material.winner.mean),
                "confirmed accuracy",
                f"trial {material.winner.number}",
            )
        )
    elif material.best is not None:
        tiles.append(
            Tile(
                formatting.accuracy(material.best.value),
                "best validation accuracy",
                f"trial {material.best.number}",
            )
        )
    tiles.append(Tile(f"{learned:,} of {done:,}", "trials learned", "of those that are over"))
    tiles.append(Tile(formatting.duration(seconds), "of training", f"on {_devices(material)}"))
    tiles.append(Tile(f"{images / 1e6:,.2f} M", "images trained on", "epochs x images"))
    return tiles


def _devices(material: ReportData) -> str:
    return ", ".join(dict.fromkeys(trial.device for trial in material.trials)) or "nothing yet"


def _short(material: ReportData) -> list[str]:
    """The result, what decides it, what goes wrong, and what to do about it."""
    said = [_result(material)]
    said += [each.statements[0] for each in material.answers if each.statements]
    results = material.results
    lost = {each.number for each in results.trials if results.failed(each)}
    if lost and material.failures:
        worst = max(material.failures, key=lambda each: len(lost.intersection(each.numbers)))
        with_it = formatting.count(len(lost.intersection(worst.numbers)), "trial")
        said.append(
            f"{len(lost)} of {formatting.count(len(results.trials), 'trial')} came to nothing, "
            f"most often with the verdict “{worst.label}” ({with_it})"
        )
    advice = next((each for each in material.findings if each.remedy), None)
    return [*said, f"{advice.message}; next: {advice.remedy}"] if advice else said


def _result(material: ReportData) -> str:
    winner, best = material.winner, material.best
    if winner is not None and winner.mean is not None:
        return (
            f"trial {winner.number} wins with a mean validation accuracy of {winner.mean:.4f} over "
            f"{formatting.count(winner.completed or 0, 'training')}{_sure_of(winner.low, winner.high)}"
        )
    if best is None or best.value is None:
        return "no trial has a result yet"
    interval = material.interval
    low, high = interval if interval else (None, None)
    said = f"trial {best.number} is the best, with a validation accuracy of {best.value:.4f}"
    return said + _sure_of(low, high)


def _sure_of(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95 % interval {low:.4f} to {high:.4f})"


def _found(material: ReportData) -> Section:
    best = material.best
    if best is None:
        text = "No trial has come to a result yet; the report grows with the study."
        return Section("found", "What was found", (Paragraph(text),))
    applied = {name: best.configuration[name] for name in best.searched}
    pairs = ((name, formatting.setting(value)) for name, value in applied.items() if value is not None)
    blocks: list[Block] = [
        Paragraph(f"{_result(material)}. {_how_sure(material)}"),
        *(Paragraph(line) for line in test_lines(material.stages)),
        Facts(tuple(pairs)),
    ]
    if best.verdict and best.verdict != HEALTHY:
        title, colour = "But its verdict is", family(best.cause or "")
        blocks.append(Note(title, best.verdict, colour, remedy=best.remedy or ""))
    layers = (
        f"The layers of trial {best.number}. The shaded band is where the lecture wants one step's updates, "
        "about a thousandth of the weights."
    )
    blocks.append(Picture("winner", f"The training of trial {best.number}: loss and accuracy by epoch."))
    blocks.append(Picture("winner-layers", layers))
    return Section("found", "What was found", (*blocks, *_leaderboard(material)))


def _how_sure(material: ReportData) -> str:
    winner = material.winner
    if winner is not None and winner.p_value is not None:
        apart = "so it can be told apart" if winner.p_value <= TOLD_APART else "which may be chance"
        return (
            f"It is {winner.difference:.4f} ahead of the next, {apart} (p = {winner.p_value:.2g}); the "
            f"search had shown it at {winner.search_value:.4f}."
        )
    if winner is not None:
        return f"The search had shown it at {winner.search_value:.4f}."
    images = material.results.val_images
    noise = f"The interval is that of one training on {images:,} validation images; " if images else ""
    return (
        f"{noise}the best of many looks better than it is, because it was also the luckiest: only trainings "
        "with other seeds, and the test images, would tell (stages with confirm)."
    )


def _leaderboard(material: ReportData) -> list[Block]:
    ranked = material.picture.ranked[:_LEADERS]
    if len(ranked) < 2:
        return []
    return [_trials_table(material, ranked, ranks=True)]


def _trials_table(
    material: ReportData, points: list[Point], ranks: bool = False, summary: str = "", targets: bool = False
) -> Table:
    summaries = {trial.number: trial for trial in material.trials}
    names = [
        axis.name for axis in material.picture.axes if any(axis.name in point.values for point in points)
    ]
    rows = []
    for rank, point in enumerate(points, start=1):
        trial = summaries[point.number]
        searched = [formatting.setting(point.values[name]) if name in point.values else "–" for name in names]
        seconds = "–" if trial.seconds is None else formatting.duration(trial.seconds)
        verdict = [] if ranks else [cause_words(point.cause)]
        row = [str(point.number), formatting.accuracy(point.value), *verdict, *searched, seconds]
        rows.append(tuple([str(rank), *row] if ranks else row))
    head = ["trial", "accuracy", *([] if ranks else ["verdict"]), *names, "time"]
    numeric = {axis.name for axis in material.picture.axes if not axis.choices}
    return Table(
        head=tuple(["rank", *head] if ranks else head),
        rows=tuple(rows),
        right=frozenset({"rank", "trial", "accuracy", "time", *numeric}),
        trials=tuple(point.number for point in points) if targets else (),
        summary=summary,
    )


def _asked(material: ReportData) -> Section:
    spec, overview = material.spec, material.overview
    rows = tuple((name, distribution_text(each), _when(each.when)) for name, each in spec.space.items())
    conditional = any(row[2] for row in rows)
    head = ("hyperparameter", "searched", *(("only if",) if conditional else ()))
    blocks: list[Block] = [
        Facts(
            (
                ("objective", f"highest {spec.objective.replace('val_', 'validation ')}"),
                ("images", f"{overview.dataset}: {overview.dataset_origin}"),
                ("trials", f"{spec.trials:,}"),
                ("sampler", spec.sampler.name),
                ("seed", str(spec.seed)),
                ("checks", spec.checks.preset),
            )
        ),
        Table(head, tuple(row if conditional else row[:2] for row in rows)),
        Code(study_text(spec), "The study file"),
    ]
    return Section("asked", "What was asked", tuple(blocks))


def _when(condition: Mapping[str, object]) -> str:
    parts = []
    for name, wanted in condition.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        parts.append(f"{name} is {' or '.join(map(formatting.setting, values))}")
    return ", ".join(parts)


def _matters(material: ReportData) -> Section:
    said = [statement for answer in material.answers for statement in answer.statements]
    title = "What matters"
    if not material.answers:
        text = "Too few trials are over to say how each hyperparameter matters."
        return Section("matters", title, (Paragraph(text),))
    blocks: list[Block] = [
        Points(tuple(said)) if said else Paragraph("None of the differences is beyond chance yet."),
        _shares(material),
        Paragraph(
            "Shares of the variance that a hyperparameter explains by itself; p is the chance of as much "
            "if it had no effect. Sentences are made only of what is beyond chance, over all that was tried.",
            quiet=True,
        ),
    ]
    return Section("matters", title, tuple(blocks))


def _shares(material: ReportData) -> Table:
    titles = {"trains": "whether it trains", "value": "how well it trains"}
    names = list(dict.fromkeys(each.name for answer in material.answers for each in answer.effects))
    head, columns = ["hyperparameter"], [names]
    for answer in material.answers:
        effects = {each.name: each for each in answer.effects}
        head += [titles[answer.question], "p"]
        columns.append([f"{effects[name].share:.0%}" if name in effects else "–" for name in names])
        columns.append([f"{effects[name].p_value:.2g}" if name in effects else "–" for name in names])
    return Table(tuple(head), tuple(zip(*columns, strict=True)), right=frozenset(head[1:]))


def _slices(material: ReportData) -> Section | None:
    axes = material.picture.axes
    if not axes or not material.picture.points:
        return None
    shown = [Picture(f"slice-{place}", _slice_caption(axis), small=True) for place, axis in enumerate(axes)]
    across = Picture(
        "parallel", "Every trial as a line across all hyperparameters; the best ones are drawn strongest."
    )
    return Section("slices", "Hyperparameter by hyperparameter", (*shown, across, *_remark(material)))


def _slice_caption(axis: Axis) -> str:
    return f"Validation accuracy against {axis.name}."


def _curves(material: ReportData) -> Section | None:
    if not any(point.curve for point in material.picture.points):
        return None
    caption = "Every training, in the colour of its verdict; the best one is drawn strongest."
    return Section("curves", "How the trainings went", (Picture("curves", caption), *_remark(material)))


def _remark(material: ReportData) -> list[Block]:
    return [Paragraph(f"{material.picture.remark}.", quiet=True)] if material.picture.remark else []


def _failures(material: ReportData) -> Section | None:
    if not material.failures:
        return None
    axis = failure_axis(material.picture)
    blocks: list[Block] = []
    if axis is not None:
        blocks.append(Picture("failures", f"What became of the trials, along {axis.name}."))
    summaries = {trial.number: trial for trial in material.trials}
    for failure in material.failures:
        examples = [summaries[number] for number in failure.numbers[:EXAMPLES]]
        remedy = next((each.remedy for each in examples if each.remedy), "")
        blocks.append(
            Note(
                f"{failure.label} · {formatting.count(len(failure.numbers), 'trial')}",
                CAUSES_EXPLAINED.get(failure.cause, ""),
                family(failure.cause),
                tuple((each.number, _evidence(each.verdict)) for each in examples),
                remedy,
            )
        )
        if failure.cause in material.examples:
            number = material.examples[failure.cause].number
            blocks.append(
                Picture(layers_picture(number), f"Trial {number}, layer by layer while it trained.")
            )
    return Section("failures", "What did not go well, and why", tuple(blocks))


def _evidence(verdict: str | None) -> str:
    """The verdict without the cause at its head, which the reader knows by then."""
    head, colon, rest = (verdict or "no verdict").partition(": ")
    known = {cause.words for cause in CAUSES.values()}
    return rest if colon and head in known else verdict or "no verdict"


def _stages(material: ReportData) -> Section | None:
    stages = material.stages
    if not stages.stages:
        return None
    rows = tuple(
        (
            each.stage,
            f"{each.done}/{each.trials}",
            "–" if each.epochs is None else str(each.epochs),
            formatting.accuracy(each.best_value),
            f"{each.images:,}",
        )
        for each in stages.stages
    )
    head = ("stage", "trials", "epochs", "best", "epochs x images")
    blocks: list[Block] = [Table(head, rows, right=frozenset(head[1:]))]
    for stage in dict.fromkeys(each.stage for each in stages.decisions):
        said = tuple(each.message for each in stages.decisions if each.stage == stage)
        blocks += [Paragraph(f"How {stage} follows:"), Points(said)]
    return Section("stages", "Stages and decisions", tuple(blocks))


def _borders(material: ReportData) -> Section | None:
    if not material.findings:
        return None
    notes = [
        Note(each.message, family="generalization" if each.severity == "warn" else "cold", remedy=each.remedy)
        for each in material.findings
    ]
    return Section("space", "What the trials say about the search", tuple(notes))


def _all_trials(material: ReportData) -> Section | None:
    points = list(material.picture.drawn)
    if not points:
        return None
    hidden = len(material.picture.points) - len(points)
    blocks: list[Block] = [
        _trials_table(material, points, summary=formatting.count(len(points), "trial"), targets=True)
    ]
    if hidden:
        blocks.append(Paragraph(f"{hidden:,} more are in the database: hpo query best.", quiet=True))
    return Section("trials", "All trials", tuple(blocks))
