"""``hpo doctor``: is this machine fit for studies?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.reporting.doctor.checks import ProbeResult
    from hpo.reporting.doctor.run import Probe

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_TOPIC_WIDTH = 9


def doctor(
    storage: Storage = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: Json = False,
) -> None:
    """Look at software, database, images, devices and speed; say what to do where something is wrong.

    It exits with 1 if there is a problem: something without which studies cannot run.
    """
    from hpo.cli.console import to_json
    from hpo.reporting.doctor.run import Environment, diagnose

    patient = Environment(storage_url(storage), device)
    found = []
    for examination, diagnosis in diagnose(patient, _announce):
        _announced(examination)
        found.append({"topic": examination.topic, **vars(diagnosis)})
        if not as_json:
            _print(examination.topic, diagnosis)
    problems = sum(each["condition"] == "problem" for each in found)
    if as_json:
        typer.echo(to_json({"problems": problems, "diagnoses": found}))
    raise typer.Exit(1 if problems else 0)


def _announce(examination: Probe) -> None:
    """On a terminal, say what is waited for."""
    from hpo.cli.console import stderr

    if examination.waiting and stderr().is_terminal:
        stderr().print(f"{examination.waiting} ...", style="dim", end="\r")


def _announced(examination: Probe) -> None:
    """Wipe that away."""
    from rich.control import Control
    from rich.segment import ControlType

    from hpo.cli.console import stderr

    if examination.waiting and stderr().is_terminal:
        stderr().control(Control((ControlType.ERASE_IN_LINE, 2)))


def _print(topic: str, diagnosis: ProbeResult) -> None:
    from rich.text import Text

    from hpo.cli.console import printable, stdout

    style = _STYLES[diagnosis.condition]
    head = Text.assemble((f"{diagnosis.condition:8}", style), f"{topic:{_TOPIC_WIDTH}}  ")
    margin = " " * len(head)
    lines = [*diagnosis.message.splitlines(), *diagnosis.remedy.splitlines()]
    first, *others = [printable(line) for line in lines]
    console = stdout()
    console.print(head + Text(first), soft_wrap=True)
    for line in others:
        console.print(Text(margin + line, "dim"), soft_wrap=True)
