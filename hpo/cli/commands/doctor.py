"""``hpo doctor``: check this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from hpo.cli.options import Device, Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.reporting.doctor.checks import CheckResult
    from hpo.reporting.doctor.run import DoctorCheck

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_TOPIC_WIDTH = 9


def doctor(
    storage: Storage = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check this machine and suggest fixes.

    It checks software, database, images, devices and speed. The exit code is 1 if there is a problem with
    which studies cannot run. `hpo check` checks a study's configuration, `hpo db check` the data in the
    database.
    """
    from hpo.cli.console import print_json
    from hpo.reporting.doctor.run import Environment, run_checks

    results = []
    for check, result in run_checks(Environment(storage_url(storage), device), _show_progress):
        _clear_progress(check)
        results.append({"topic": check.topic, **vars(result)})
        if not as_json:
            _print(check.topic, result)
    problems = sum(each["condition"] == "problem" for each in results)
    if as_json:
        print_json({"problems": problems, "diagnoses": results})
    raise typer.Exit(1 if problems else 0)


def _show_progress(check: DoctorCheck) -> None:
    """Show what a slow check is doing, on a terminal."""
    from hpo.cli.console import stderr

    if check.progress and stderr().is_terminal:
        stderr().print(f"{check.progress} ...", style="dim", end="\r")


def _clear_progress(check: DoctorCheck) -> None:
    from rich.control import Control
    from rich.segment import ControlType

    from hpo.cli.console import stderr

    if check.progress and stderr().is_terminal:
        stderr().control(Control((ControlType.ERASE_IN_LINE, 2)))


def _print(topic: str, result: CheckResult) -> None:
    from rich.text import Text

    from hpo.cli.console import printable, stdout

    style = _STYLES[result.condition]
    head = Text.assemble((f"{result.condition:8}", style), f"{topic:{_TOPIC_WIDTH}}  ")
    margin = " " * len(head)
    lines = [*result.message.splitlines(), *result.remedy.splitlines()]
    first, *others = [printable(line) for line in lines]
    console = stdout()
    console.print(head + Text(first), soft_wrap=True)
    for line in others:
        console.print(Text(margin + line, "dim"), soft_wrap=True)
