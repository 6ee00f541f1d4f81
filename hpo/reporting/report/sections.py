"""The report on a study that hpo made: its list of sections, and those about the result and the search."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import hpo
from hpo.checks.causes import is_blame
from hpo.config.parsing.space import distribution_text
from hpo.config.write import study_text
from hpo.queries.stages import has_images
from hpo.reporting import formatting
from hpo.reporting.figures.style import family
from hpo.reporting.report import head
from hpo.reporting.report.appendix import checks_section, cost_section, reproduce_section
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
)
from hpo.reporting.report.data import ReportData
from hpo.reporting.report.tradeoffs import tradeoffs_section
from hpo.reporting.report.trials import (
    all_trials_section,
    curves_section,
    failures_section,
    slices_section,
    trials_table,
)
from hpo.stages.wording import SIGNIFICANCE
from hpo.text import counted, printable

_LEADERS = 10


def study_report(data: ReportData) -> Report:
    """Return the whole report, with the names of all pictures that can be drawn for it."""
    sections = [
        _found(data),
        _asked(data),
        tradeoffs_section(data.tradeoffs, data.spec.goal),
        _effects(data),
        slices_section(data.picture),
        curves_section(
            data.picture,
            "Training curves",
            "Every training, in the color of its verdict; the best one has the boldest line.",
        ),
        failures_section(data),
        _stages(data),
        _search(data),
        checks_section(data),
        cost_section(data),
        reproduce_section(data),
        all_trials_section(data),
    ]
    return Report(
        study=data.overview.name,
        subtitle=head.subtitle(data),
        state=head.state(data),
        tiles=tuple(head.tiles(data)),
        short=tuple(head.summary(data)),
        sections=tuple(section for section in sections if section is not None),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by hpo {hpo.__version__}",
    )


def _found(data: ReportData) -> Section:
    best = data.best
    if best is None:
        result = head.result(data)
        text = f"{result[:1].upper()}{result[1:]}."
        return Section("found", "Results", (Paragraph(text),))
    applied = {name: best.configuration[name] for name in best.searched if name in best.configuration}
    pairs = ((name, formatting.setting(value)) for name, value in applied.items() if value is not None)
    blocks: list[Block] = [
        Paragraph(f"{head.result(data)}. {_confidence(data)}"),
        *(Paragraph(line) for line in formatting.evaluation_lines(data.stages, data.spec.goal)),
        Facts(tuple(pairs)),
    ]
    if best.verdict and is_blame(best.verdict):
        color = family(best.cause or "")
        blocks.append(Note("But its verdict is", best.verdict, color, remedy=best.remedy or ""))
    layers = (
        f"The layers of trial {best.number}. The shaded band is where the lecture expects the updates of one "
        "step: about a thousandth of the weights."
    )
    blocks.append(Picture("winner", f"The training of trial {best.number}, epoch by epoch."))
    blocks.append(Picture("winner-classes", _classes_caption(data)))
    blocks.append(Picture("winner-layers", layers))
    return Section("found", "Results", (*blocks, *_leaderboard(data)))


def _classes_caption(data: ReportData) -> str:
    classes = data.best.classes if data.best else ()
    known = [each for each in classes if each.images]
    if data.best is None or not known:
        return ""
    worst = min(known, key=lambda each: each.recall)
    return (
        f"What trial {data.best.number} predicts for the validation images of each class. It finds the "
        f"smallest share of class {printable(worst.class_name)}: {worst.correct:,} of "
        f"{counted(worst.images, 'image')}."
    )


def _confidence(data: ReportData) -> str:
    winner, goal = data.winner, data.spec.goal
    what = goal.label.removeprefix("validation ")
    if winner is not None and winner.p_value is not None:
        apart = "a significant difference" if winner.p_value <= SIGNIFICANCE else "which may be chance"
        return (
            f"It is {goal.text(winner.difference)} ahead of the second, {apart} (p = {winner.p_value:.2g}); "
            f"its {what} in the search was {goal.text(winner.search_value)}."
        )
    if winner is not None:
        return f"Its {what} in the search was {goal.text(winner.search_value)}."
    images = data.results.val_images if data.interval else None
    noise = (
        f"The interval is that of one training on {counted(images, 'validation image')}. "
        if images
        else f"One training does not tell how far its {what} is from that on other images. "
        if data.interval is None and not data.spec.is_own
        else ""
    )
    test = "" if data.spec.is_own else " or the test images"
    return (
        f"{noise}The best of many trials looks better than it is, since it was also the luckiest. Only "
        f"trainings with other seeds (a stage with confirm){test} would tell."
    )


def _leaderboard(data: ReportData) -> list[Block]:
    ranked = data.picture.ranked[:_LEADERS]
    return [trials_table(data, ranked, ranks=True)] if len(ranked) > 1 else []


def _trained_on(data: ReportData) -> tuple[str, str]:
    if data.spec.is_own:
        return "training", data.spec.trainer_text
    return "images", f"{data.overview.dataset}: {data.overview.dataset_origin}"


def _asked(data: ReportData) -> Section:
    spec = data.spec
    rows = tuple((name, distribution_text(each), _when(each.when)) for name, each in spec.space.items())
    conditional = any(row[2] for row in rows)
    columns = ("hyperparameter", "searched", *(("only if",) if conditional else ()))
    blocks: list[Block] = [
        Facts(
            (
                ("objective", f"{'highest' if spec.goal.sign > 0 else 'lowest'} {spec.goal.label}"),
                *((("limit", data.tradeoffs.limit_text),) if data.tradeoffs and spec.limit else ()),
                _trained_on(data),
                ("trials", f"{spec.trials:,}"),
                ("sampler", spec.sampler.name),
                ("seed", str(spec.seed)),
                ("checks", spec.checks.preset),
            )
        ),
        Table(columns, tuple(row if conditional else row[:2] for row in rows)),
        Code(study_text(spec), "The study file"),
    ]
    return Section("asked", "Setup", tuple(blocks))


def _when(condition: Mapping[str, object]) -> str:
    parts = []
    for name, wanted in condition.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        parts.append(f"{name} is {' or '.join(map(formatting.setting, values))}")
    return ", ".join(parts)


def _effects(data: ReportData) -> Section:
    title = "What matters"
    statements = tuple(statement for answer in data.answers for statement in answer.statements)
    if not data.answers:
        text = "Too few trials have ended to tell how much each hyperparameter matters."
        return Section("matters", title, (Paragraph(text),))
    blocks: list[Block] = [
        Points(statements) if statements else Paragraph("No difference is statistically significant yet."),
        _effects_table(data),
        Paragraph(
            "The share of the variance that a hyperparameter explains by itself; p is the probability of an "
            "effect at least as large by chance. Only significant effects get a sentence, after correction "
            "for the number of comparisons.",
            quiet=True,
        ),
    ]
    return Section("matters", title, tuple(blocks))


def _effects_table(data: ReportData) -> Table:
    titles = {"trains": "whether it trains", "value": "how well it trains"}
    names = list(dict.fromkeys(each.name for answer in data.answers for each in answer.effects))
    columns, cells = ["hyperparameter"], [names]
    for answer in data.answers:
        effects = {each.name: each for each in answer.effects}
        columns += [titles[answer.question], "p"]
        cells.append([f"{effects[name].share:.0%}" if name in effects else "–" for name in names])
        cells.append([f"{effects[name].p_value:.2g}" if name in effects else "–" for name in names])
    return Table(tuple(columns), tuple(zip(*cells, strict=True)), right=frozenset(columns[1:]))


def _stages(data: ReportData) -> Section | None:
    stages = data.stages
    if not stages.stages:
        return None
    with_images = has_images(stages.stages)
    rows = tuple(
        (
            each.stage,
            f"{each.done}/{each.trials}",
            "–" if each.epochs is None else str(each.epochs),
            data.spec.goal.text(each.best_value),
            *([f"{each.images:,}"] if with_images else []),
        )
        for each in stages.stages
    )
    columns = ("stage", "trials", "epochs", "best", *(["epochs x images"] if with_images else []))
    blocks: list[Block] = [Table(columns, rows, right=frozenset(columns[1:]))]
    for stage in dict.fromkeys(each.stage for each in stages.decisions):
        reasons = tuple(each.message for each in stages.decisions if each.stage == stage)
        blocks += [Paragraph(f"Stage {stage}:"), Points(reasons)]
    return Section("stages", "Stages and decisions", tuple(blocks))


def _search(data: ReportData) -> Section | None:
    if not data.findings:
        return None
    notes = [
        Note(each.message, family="generalization" if each.severity == "warn" else "cold", remedy=each.remedy)
        for each in data.findings
    ]
    return Section("space", "Findings about the study", tuple(notes))
