"""The output of ``hpo check``: progress during the training, then each check and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from hpo.checks.causes import HEALTHY, OUTCOMES
from hpo.cli.console import printable, stderr, stdout, to_json
from hpo.cli.views.tables import SEVERITY_STYLES
from hpo.cli.views.trial import layers_table, number_cell
from hpo.config.configuration import Configuration
from hpo.records import EpochResult, Finding, stored
from hpo.reporting import formatting
from hpo.trial.dry_run import DryRun

_ORDER = ("fatal", "warn", "note", "pass")
_JSON_NAMES = {"constant_outputs": "mute", "two_signed": "crossing"}
"""Layer statistics that programs know by another name."""


@contextmanager
def following(configuration: Configuration, *, quiet: bool) -> Iterator[Callable[[EpochResult], None]]:
    """Show a progress bar on a terminal; call the yielded function after each epoch."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield lambda epoch: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("checking", total=configuration.epochs, status="before training")

        def advance(epoch: EpochResult) -> None:
            status = f"epoch {epoch.epoch}: val_accuracy {formatting.accuracy(epoch.val_accuracy)}"
            progress.update(task, advance=1, status=status)

        yield advance


def print_report(configuration: Configuration, result: DryRun) -> None:
    """Print the whole report, the most severe findings first."""
    console = stdout()
    console.print(_heading(configuration, result))
    console.print()
    console.print(_checks_table(result.findings, console.width))
    if result.layers is not None:
        console.print()
        console.print(Text(f"layers at step {result.layers.step}", "bold"))
        console.print(layers_table(result.layers.layers, console.width))
    console.print()
    _print_verdict(console, result)


def as_json(configuration: Configuration, result: DryRun) -> str:
    """Return the same for programs."""
    return to_json(
        {
            "configuration": configuration.applicable(),
            "steps": result.steps,
            "curve": [stored(epoch) for epoch in result.curve],
            "findings": [asdict(finding) for finding in result.findings],
            "layers": asdict(result.layers, dict_factory=_named) if result.layers else None,
            "verdict": asdict(result.verdict),
            "fatal": result.fatal is not None,
        }
    )


def _named(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_JSON_NAMES.get(name, name): value for name, value in items}


def _heading(configuration: Configuration, result: DryRun) -> Text:
    trained = formatting.counted(result.steps, "step")
    last = f", val_accuracy {formatting.accuracy(result.curve[-1].val_accuracy)}" if result.curve else ""
    return Text.assemble(
        (f"{configuration.model} on {configuration.dataset}", "bold"),
        (f"  {trained} of batch {configuration.batch_size}{last}", "dim"),
    )


def _checks_table(findings: tuple[Finding, ...], width: int) -> Table:
    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.get(finding.check)
        if known is None or _ORDER.index(finding.severity) < _ORDER.index(known.severity):
            worst[finding.check] = finding
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0), width=min(width, 160))
    for name in ("check", "", "value", "threshold"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("value", "threshold") else "left")
    table.add_column("finding")
    for finding in sorted(worst.values(), key=lambda each: _ORDER.index(each.severity)):
        where = f"{finding.layer}: " if finding.layer else ""
        what = Text(printable(where + finding.message))
        if finding.remedy.text and finding.severity != "pass":
            what.append(f"\n→ {printable(finding.remedy.text)}", "bold")
        table.add_row(
            Text(finding.check),
            Text(finding.severity, SEVERITY_STYLES[finding.severity]),
            number_cell(finding.value),
            number_cell(finding.threshold),
            what,
        )
    return table


def _print_verdict(console: Console, result: DryRun) -> None:
    verdict = result.verdict
    style = "green" if verdict.cause == HEALTHY else "yellow"
    sure = "" if verdict.cause in OUTCOMES else f"  ({verdict.confidence:.0%} sure)"
    console.print(
        Text.assemble(("verdict  ", "bold"), (printable(verdict.text), style), (sure, "dim")), soft_wrap=True
    )
    if verdict.remedy:
        console.print(Text.assemble(("try      ", "bold"), printable(verdict.remedy)), soft_wrap=True)
