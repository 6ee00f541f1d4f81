"""Exact conversion of values to strict JSON and back, with NaN and infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_NOT_FINITE = "$float"
_LITERALLY = "$literally"
_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_line(row: Mapping[str, Any]) -> bytes:
    """Return a row as a line of JSON; a float that is not finite becomes ``{"$float": "NaN"}``."""
    # Escaped to ASCII: a lone surrogate, which Optuna's attributes may contain, is not valid UTF-8.
    return json.dumps(_encode(row), allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def from_line(line: bytes) -> Any:
    """Return the row of a line by ``to_line``; raises ``ValueError`` for anything else."""
    return _decode(json.loads(line, parse_constant=_refuse))


def _encode(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NOT_FINITE: _word(value)}
    if isinstance(value, Mapping):
        encoded = {str(name): _encode(each) for name, each in value.items()}
        return {_LITERALLY: encoded} if len(encoded) == 1 and next(iter(encoded)).startswith("$") else encoded
    if isinstance(value, list | tuple):
        return [_encode(each) for each in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_NOT_FINITE}:
        return _FLOATS[value[_NOT_FINITE]]
    if value.keys() == {_LITERALLY}:
        value = value[_LITERALLY]
    return {name: _decode(each) for name, each in value.items()}


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
