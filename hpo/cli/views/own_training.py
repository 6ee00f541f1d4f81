"""What ``hpo check`` looks at in a study of the user's own training, and how it prints it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.cli.console import print_json, print_line
from hpo.config.command import COMMAND_WORDS, argument_text, filled
from hpo.config.fields import setting
from hpo.config.parsing.space import distribution_text
from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError
from hpo.training.programs import find_program
from hpo.training.users_trainer import CheckedTrainer, check_trainer, find_trainer


def check_own_training(spec: StudySpec, drawn: dict[str, Any], *, as_json: bool) -> None:
    """Print what a study of the user's own training will run. Raises ``ConfigurationError`` if it cannot.

    ``drawn`` are the searched values of the trial that is shown; empty for none.
    """
    runs = (
        {"program": find_program(spec.command[0])}
        if spec.command is not None
        else _function(spec.trainer or "")
    )
    values = spec.configuration(drawn).applicable()
    if as_json:
        what = {"study": spec.study, "trainer": spec.trainer, "command": spec.command}
        print_json({**what, **runs, "values": values})
        return
    print_line(f"{spec.study}  your own training, {spec.trainer_text}")
    for name, text in runs.items():
        print_line(f"  {name}: {text}")
    for name, distribution in spec.space.items():
        shown = setting(values[name]) if name in values else ("not drawn" if drawn else "")
        print_line(f"  {name}: {distribution_text(distribution)}{f'  ->  {shown}' if shown else ''}")
    for name, value in spec.fixed.items():
        print_line(f"  {name}: fixed at {setting(value)}")
    if spec.command is not None and drawn:
        print_line(f"  runs: {_filled(spec.command, values)}")
    print_line("no trial was trained: `hpo run` with --trials 1 trains one")


def _filled(command: Sequence[str], values: Mapping[str, Any]) -> str:
    """Return the command of a trial, for a shell; what only a trial that runs has stays in braces."""
    words = {word: f"{{{word}}}" for word in COMMAND_WORDS}
    words |= {name: argument_text(value) for name, value in values.items()}
    return shlex.join(filled(each, words) for each in command)


def _function(path: str) -> dict[str, str]:
    find_trainer(path)  # without running it: an import may take seconds
    checked = check_trainer(path)
    if checked.problem:
        raise ConfigurationError(checked.problem)
    return {"imported": _place(checked), "function": f"{path.partition(':')[2]}{checked.signature}"}


def _place(checked: CheckedTrainer) -> str:
    return f"{checked.file}:{checked.line}" if checked.file else "a function without a file"
