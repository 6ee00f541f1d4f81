"""``lr=0.05 optimizer=adam``: a known configuration, to be trained in the place of a draw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hpo.config.fields import HYPERPARAMETERS, NOT_SEARCHED
from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import UserError


def read_given(spec: StudySpec, pairs: Sequence[str]) -> dict[str, Any]:
    """The hyperparameters that ``key=value`` pairs set, each with its value as its field has it.

    They may lie outside the study's space, but must fit their fields and whatever else the study may draw
    with them. Raises ``UserError``, for mistakes in values ``StudyFileError`` with all of them.
    """
    names = [pair.partition("=")[0].strip() for pair in pairs]
    for name in names:
        _refuse_other_keys(name)
    changed = parse_study(_text(spec), f"{spec.study} with what was given", pairs, option="")
    for name in names:
        if name not in changed.fixed:
            raise UserError(f"{name} needs one value here, e.g. {name}={HYPERPARAMETERS[name].default}")
    return {name: changed.fixed[name] for name in names}


def _refuse_other_keys(name: str) -> None:
    if name in NOT_SEARCHED:
        raise UserError(f"{name} cannot be given: all trials of a study share it")
    if name not in HYPERPARAMETERS:
        hint = did_you_mean(name, HYPERPARAMETERS) or "all of them: docs/study-files.md"
        raise UserError(f"there is no hyperparameter {name!r} ({hint})")


def _text(spec: StudySpec) -> str:
    return json.dumps(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))
