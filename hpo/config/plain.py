"""A study in Python as a study file has it. Imports little: `@hpo.study` does it in each script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hpo.errors import UserError


def plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with values of JSON alone; arrays are lists. Raises ``UserError`` for other objects."""
    try:
        found: dict[str, Any] = plain_value(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{error}; values of a study are numbers, texts, lists and dicts") from None
    return found


def plain_value(value: Any) -> Any:
    """Return a value as it comes back from JSON; arrays are lists, and their numbers are Python's.

    Raises ``TypeError``, ``ValueError`` or ``RecursionError`` for one that JSON cannot hold.
    """
    return json.loads(json.dumps(value, default=_listed))


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of NumPy or PyTorch
        return value.tolist()
    raise TypeError(f"{repr(value)[:60]} is a {type(value).__name__}")
