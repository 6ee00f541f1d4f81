"""The sections of a report about its trials: pictures of all, failures, tables."""

from __future__ import annotations

from hpo.checks.causes import evidence
from hpo.reporting import formatting
from hpo.reporting.figures.points import Point, StudyPicture
from hpo.reporting.figures.study import failure_axis
from hpo.reporting.figures.style import cause_label, family
from hpo.reporting.report.blocks import Block, Note, Paragraph, Picture, Section, Table
from hpo.reporting.report.data import EXAMPLES, ReportData
from hpo.reporting.report.glossary import CAUSES_EXPLAINED
from hpo.reporting.report.pictures import layers_picture


def slices_section(picture: StudyPicture, noun: str = "hyperparameter") -> Section | None:
    """Return pictures of the objective against each hyperparameter, and of all hyperparameters at once."""
    if not picture.axes or not picture.points:
        return None
    objective = picture.objective[:1].upper() + picture.objective[1:]
    slices = [
        Picture(f"slice-{place}", f"{objective} against {axis.name}.", small=True)
        for place, axis in enumerate(picture.axes)
    ]
    across = Picture(
        "parallel", f"Every trial as a line across all {noun}s; the best trials have the boldest lines."
    )
    title = f"{noun.capitalize()} by {noun}"
    return Section("slices", title, (*slices, across, *_drawn(picture)))


def curves_section(picture: StudyPicture, title: str, caption: str) -> Section | None:
    """Return the picture of all curves."""
    if not any(point.curve for point in picture.points):
        return None
    return Section("curves", title, (Picture("curves", caption), *_drawn(picture)))


def _drawn(picture: StudyPicture) -> list[Block]:
    return [Paragraph(f"{picture.remark}.", quiet=True)] if picture.remark else []


def failures_section(data: ReportData) -> Section | None:
    """Return each cause of problems with an explanation, examples, a remedy, and the layers of an example."""
    if not data.failures:
        return None
    axis = failure_axis(data.picture)
    blocks: list[Block] = []
    if axis is not None:
        blocks.append(Picture("failures", f"The outcome of each trial, along {axis.name}."))
    summaries = {trial.number: trial for trial in data.trials}
    for failure in data.failures:
        examples = [summaries[number] for number in failure.numbers[:EXAMPLES]]
        remedy = next((each.remedy for each in examples if each.remedy), "")
        blocks.append(
            Note(
                f"{failure.label} · {formatting.counted(len(failure.numbers), 'trial')}",
                CAUSES_EXPLAINED.get(failure.cause, ""),
                family(failure.cause),
                tuple((each.number, evidence(each.verdict or "no verdict")) for each in examples),
                remedy,
            )
        )
        if failure.cause in data.examples:
            number = data.examples[failure.cause].number
            blocks.append(
                Picture(layers_picture(number), f"The layers of trial {number} during its training.")
            )
    return Section("failures", "Problems and their causes", tuple(blocks))


def all_trials_section(data: ReportData) -> Section | None:
    """Return a folded table of all trials, to which the marks in the pictures link."""
    points = list(data.picture.drawn)
    if not points:
        return None
    hidden = len(data.picture.points) - len(points)
    blocks: list[Block] = [
        trials_table(data, points, summary=formatting.counted(len(points), "trial"), targets=True)
    ]
    if hidden:
        blocks.append(Paragraph(f"{hidden:,} more are in the database: hpo query best.", quiet=True))
    return Section("trials", "All trials", tuple(blocks))


def trials_table(
    data: ReportData, points: list[Point], ranks: bool = False, summary: str = "", targets: bool = False
) -> Table:
    """Return a table with a row per trial.

    ``ranks`` shows the rank instead of the verdict; ``targets`` lets the pictures link to the rows.
    """
    summaries = {trial.number: trial for trial in data.trials}
    names = [axis.name for axis in data.picture.axes if any(axis.name in point.values for point in points)]
    what = data.spec.goal.label.removeprefix("validation ")
    rows = []
    for rank, point in enumerate(points, start=1):
        trial = summaries[point.number]
        searched = [formatting.setting(point.values[name]) if name in point.values else "–" for name in names]
        seconds = "–" if trial.seconds is None else formatting.duration(trial.seconds)
        verdict = [] if ranks else [cause_label(point.cause)]
        row = [str(point.number), data.spec.goal.text(point.value), *verdict, *searched, seconds]
        rows.append(tuple([str(rank), *row] if ranks else row))
    head = ["trial", what, *([] if ranks else ["verdict"]), *names, "time"]
    numeric = {axis.name for axis in data.picture.axes if not axis.choices}
    return Table(
        head=tuple(["rank", *head] if ranks else head),
        rows=tuple(rows),
        right=frozenset({"rank", "trial", what, "time", *numeric}),
        trials=tuple(point.number for point in points) if targets else (),
        summary=summary,
    )
