"""The page of ``hpo show``: one trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpo.checks.causes import CAUSES, HEALTHY, OUTCOMES
from hpo.cli.console import print_title, printable, stdout
from hpo.cli.views.classes import print_classes
from hpo.cli.views.live import STATE_STYLES
from hpo.cli.views.tables import SEVERITY_STYLES, table_that_fits
from hpo.config.objective import Objective
from hpo.config.study import TEST
from hpo.queries.trial import Attempt, TrialDetail
from hpo.records import LATER_MEASURES, EpochResult, Finding, LayerStatistics, stored
from hpo.reporting import formatting
from hpo.text import counted

_MOST_EPOCHS = 24
_SPARK_WIDTH = 40
_ERROR_LINES = 8


def print_trial(trial: TrialDetail, weights: Path | None) -> None:
    """Print the page, most important first; ``weights`` is the folder with those of the best epoch."""
    console = stdout()
    console.print(_heading(trial))
    _print_verdict(console, trial)
    if weights:
        console.print(Text.assemble(("weights: ", "bold"), printable(str(weights))), soft_wrap=True)
    _print_configuration(console, trial)
    if trial.curve:
        print_title(console, "curve")
        console.print(_sparklines(trial))
        console.print(_curve(trial, console.width))
    if trial.classes:
        print_classes(console, trial.classes, "test" if trial.stage == TEST else "validation")
    if trial.findings:
        print_title(console, "findings")
        console.print(_findings(trial.findings))
    if trial.layers:
        step = trial.layers[-1].step
        print_title(console, f"layers at step {step}")
        last = [layer for layer in trial.layers if layer.step == step]
        console.print(layers_table(last, console.width))
    if trial.attempts:
        print_title(console, "attempts")
        console.print(_attempts(trial.attempts, console.width))
    if trial.error:
        print_title(console, "error")
        for line in trial.error.rstrip().splitlines()[-_ERROR_LINES:]:
            console.print(Text(f"  {printable(line)}"), soft_wrap=True)


def trial_as_dict(trial: TrialDetail, weights: Path | None) -> dict[str, Any]:
    """Return the whole trial for JSON; ``weights`` as for ``print_trial``."""
    return {
        **asdict(trial),
        "findings": [stored(finding) for finding in trial.findings],
        "layers": [stored(layer) for layer in trial.layers],
        "classes": [{**stored(each), "recall": each.recall} for each in trial.classes],
        "weights": weights and str(weights),
    }


def _heading(trial: TrialDetail) -> Text:
    facts = [f"{formatting.counted(trial.parameters, 'parameter')}"] if trial.parameters else []
    facts += [f"{trial.milliseconds:.3g} ms an image"] if trial.milliseconds else []
    facts += [formatting.duration(trial.seconds)] if trial.seconds else []
    facts += [f"{trial.images_per_second:,.0f} images/s"] if trial.images_per_second else []
    value = f"  {trial.objective} {trial.goal.text(trial.value)}" if trial.state == "complete" else ""
    return Text.assemble(
        (f"trial {trial.number} of {printable(trial.study)}", "bold"), "  ",
        (trial.state, STATE_STYLES.get(trial.state, "")), (value, "bold"),
        (f"  {', '.join([*facts, printable(trial.device)])}", "dim"),
    )  # fmt: skip


def _print_verdict(console: Console, trial: TrialDetail) -> None:
    if trial.verdict:
        style = "green" if trial.cause == HEALTHY else "yellow"
        unsure = trial.confidence is not None and trial.cause not in (None, *OUTCOMES)
        confidence = (
            f"  ({trial.confidence:.0%} confidence{_next_cause(trial.second_cause)})" if unsure else ""
        )
        console.print(Text.assemble((printable(trial.verdict), style), (confidence, "dim")), soft_wrap=True)
    if trial.cause == HEALTHY and trial.second_cause in CAUSES:
        console.print(Text(f"also suspected: {CAUSES[trial.second_cause].label}", "dim"), soft_wrap=True)
    if trial.remedy:
        console.print(Text.assemble(("try: ", "bold"), printable(trial.remedy)), soft_wrap=True)


def _next_cause(cause: str | None) -> str:
    return f"; next most likely: {CAUSES[cause].label}" if cause in CAUSES else ""


def _print_configuration(console: Console, trial: TrialDetail) -> None:
    applied = {name: value for name, value in trial.configuration.items() if value is not None}
    searched = {name: applied.pop(name) for name in trial.searched if name in applied}
    if searched:
        print_title(console, "searched")
        width = max(map(len, searched))
        for name, value in searched.items():
            line = Text(printable(f"  {name:{width}}  {formatting.setting(value)}"))
            is_given = name in (trial.given or {}) and not trial.is_drawn_around
            given = "  set, not drawn" if is_given else ""
            console.print(line.append(given, "dim"))
    if not applied:
        return
    print_title(console, "fixed or default")
    entries = [Text(printable(f"  {name} {formatting.setting(value)}")) for name, value in applied.items()]
    width = 100 if not console.is_terminal else console.width
    console.print(Columns(entries, padding=(0, 1), column_first=True, equal=True), width=width)


def _sparklines(trial: TrialDetail) -> Text:
    reported = _reported(trial)
    drawn = [
        name for name in dict.fromkeys((trial.objective, "val_accuracy", "val_loss")) if name in reported
    ]
    width = max(map(len, drawn), default=0)
    lines = []
    for name, color in zip(drawn, cycle(("cyan", "magenta")), strict=False):
        values, of = [record.metric(name) for record in trial.curve], Objective(name)
        bars, low, high = formatting.metric_sparkline(values, of, _SPARK_WIDTH)
        ends = "  0 to 1" if (low, high) == (0.0, 1.0) else f"  {_metric(name, low)} to {_metric(name, high)}"
        lines.append(Text.assemble((f"  {name:{width}} ", "dim"), (bars, color), ends))
    return Text("\n").join(lines)


def _reported(trial: TrialDetail) -> list[str]:
    """Return the metrics to show: all that hpo's own training measures, else what was reported."""
    ours = ("val_accuracy", "val_loss", "train_loss", "train_accuracy")
    is_ours = any(record.images for record in trial.curve)
    known = {
        name: any(not math.isnan(record.metric(name)) for record in trial.curve)
        for name in (*ours, *LATER_MEASURES)
    }
    seen = [name for name, is_known in known.items() if is_known or (is_ours and name in ours)]
    others = dict.fromkeys(name for record in trial.curve for name in record.metrics)
    # A narrow terminal shows the first columns.
    first = {trial.objective}.intersection(LATER_MEASURES)
    return sorted(dict.fromkeys((*seen, *others)), key=lambda name: name not in first)


def _metric(name: str, value: float) -> str:
    return formatting.loss(value) if name.endswith("loss") else Objective(name).text(value)


def _curve(trial: TrialDetail, width: int) -> Table:
    curve, best_epoch = trial.curve, trial.best_epoch
    shown = _thinned(curve, best_epoch)
    columns = {"epoch": [Text(str(each.epoch)) for each in shown]}
    for name in _reported(trial):
        columns[name] = [
            Text(
                _metric(name, each.metric(name)),
                "bold green" if name == trial.objective and each.epoch == best_epoch else "",
            )
            for each in shown
        ]
    columns |= {
        "lr": [Text(formatting.setting(each.lr)) for each in shown if not math.isnan(each.lr)],
        "time": [Text(f"{each.seconds:.1f} s") for each in shown],
        "images/s": [Text(f"{each.images_per_second:,.0f}") for each in shown if each.images],
    }
    columns = {name: cells for name, cells in columns.items() if len(cells) == len(shown)}
    table = table_that_fits(columns, width, left=())
    if len(shown) < len(curve):
        table.caption = (
            f"{len(shown)} of {counted(len(curve), 'epoch')}; all of them: `hpo show "
            "--json`, or the view curves"
        )
        table.caption_justify, table.caption_style = "left", "dim"
    return table


def _thinned(curve: Sequence[EpochResult], best_epoch: int | None) -> list[EpochResult]:
    """Return evenly spaced epochs, among them the last and the best."""
    if len(curve) <= _MOST_EPOCHS:
        return list(curve)
    kept = {(i + 1) * len(curve) // _MOST_EPOCHS - 1 for i in range(_MOST_EPOCHS)} | {0}
    return [record for i, record in enumerate(curve) if i in kept or record.epoch == best_epoch]


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("check", "", "step"):
        table.add_column(name, no_wrap=True, justify="right" if name == "step" else "left")
    table.add_column("finding")
    for finding in findings:
        where = f"{finding.layer}: " if finding.layer else ""
        table.add_row(
            Text(printable(finding.check)),
            Text(finding.severity, SEVERITY_STYLES.get(finding.severity, "")),
            Text(str(finding.step)),
            Text(printable(where + finding.message)),
        )
    return table


def layers_table(layers: Sequence[LayerStatistics], width: int) -> Table:
    """Return a table of the layers' statistics at one step, in the order of the forward pass."""
    columns = {
        "layer": [Text(printable(layer.name)) for layer in layers],
        "mean": [number_cell(layer.mean) for layer in layers],
        "std": [number_cell(layer.std) for layer in layers],
        "dead": [_share(layer.dead) for layer in layers],
        "saturated": [_share(layer.saturated) for layer in layers],
        "gradient": [number_cell(layer.gradient_norm) for layer in layers],
        "update / weight": [number_cell(layer.update_ratio) for layer in layers],
    }
    return table_that_fits(columns, width, left=("layer",))


def number_cell(value: float | None) -> Text:
    """Return the value with three digits, or a dash for None and NaN."""
    return Text("–" if value is None or math.isnan(value) else f"{value:.3g}")


def _share(value: float | None) -> Text:
    return Text("–" if value is None or math.isnan(value) else f"{value:.0%}")


def _attempts(attempts: Sequence[Attempt], width: int) -> Table:
    columns = {
        "attempt": [Text(str(each.attempt)) for each in attempts],
        "outcome": [_outcome(each.outcome or "running") for each in attempts],
        "epochs": [
            Text(f"{each.from_epoch} to {'' if each.to_epoch is None else each.to_epoch}")
            for each in attempts
        ],
        "started (UTC)": [Text(f"{each.started_at:%Y-%m-%d %H:%M:%S}") for each in attempts],
        "device": [Text(printable(each.device)) for each in attempts],
        "worker": [Text(printable(each.worker)) for each in attempts],
    }
    return table_that_fits(columns, width, left=[name for name in columns if name != "attempt"])


def _outcome(outcome: str) -> Text:
    return Text(outcome, STATE_STYLES.get(outcome, ""))
