"""A study in Python, as a dict in place of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpo.config.parsing.load import parse_study
from hpo.config.plain import plain
from hpo.config.study import StudySpec
from hpo.errors import StudyFileError


def parse_document(document: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> StudySpec:
    """Parse a study whose mistakes have no lines; ``source`` is its name in messages.

    Raises ``StudyFileError`` with all its mistakes, and ``UserError`` for values that a file cannot have.
    """
    text = json.dumps(plain(document))
    try:
        return parse_study(text, source, overrides)
    except StudyFileError as error:
        raise StudyFileError(error.source, [replace(each, line=None) for each in error.problems]) from None
