"""Names in the user's own training, and how a command is given its trial. `hpo report` imports it quickly."""

from __future__ import annotations

import json
import keyword
import re
import string
from collections.abc import Mapping
from typing import Any

NAME_LIMIT = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

COMMAND_WORDS: dict[str, str] = {
    "trial.number": "the trial's number, from 0",
    "trial.study": "the study's name",
    "trial.stage": "the stage's name",
    "trial.seed": "an integer that differs between trials",
    "trial.device": "where to train: cpu, cuda:0, ...",
    "trial.budget": "the number of epochs of the stage or of the study; empty if none is set",
    "trial.data_share": "the share of the training data that the stage uses",
    "trial.fold": "the fold that is held out, from 0; empty without folds",
    "trial.folds": "the number of folds; 0 without",
    "trial.epoch": "the number of epochs that an interrupted training has reported; 0 at first",
    "trial.folder": "a folder of the trial that survives restarts, for checkpoints",
    "trial.artifacts": "a folder for what is kept when the trial is over",
    "trial.parameters": "a JSON file with the trial's parameters",
    "trial.metrics": "a file to which metrics may be written, a line of JSON for each epoch",
}
"""What a command may name in braces besides the study's parameters, and what stands there.

The environment has it as ``HPO_TRIAL_NUMBER`` and so on.
"""


def parameter_variable(name: str) -> str:
    """Return the environment variable in which a command finds a parameter."""
    return f"HPO_PARAM_{name.upper()}"


def trial_variable(word: str) -> str:
    """Return the environment variable in which a command finds one of ``COMMAND_WORDS``."""
    return f"HPO_{word.upper().replace('.', '_')}"


def argument_text(value: Any) -> str:
    """Return a value as a command gets it: text as it is, anything else as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def filled(argument: str, words: Mapping[str, str]) -> str:
    """Return an argument of a command with each ``{name}`` replaced."""
    parts = string.Formatter().parse(argument)
    return "".join(text + (words[name] if name is not None else "") for text, name, _, _ in parts)


def is_parameter_name(name: str) -> bool:
    """Return whether a parameter or a metric of the user's own training may have this name."""
    return len(name) <= NAME_LIMIT and bool(_NAME.fullmatch(name)) and not keyword.iskeyword(name)
