"""Counts in messages: ``1 trial``, ``1,200 trials``, ``2 classes``. Every message uses this function."""

from __future__ import annotations


def counted(number: float, noun: str, plural: str = "") -> str:
    """Format a count with its noun; ``plural`` is the noun's, or a phrase's such as ``trials were``."""
    shown = f"{number:,}" if isinstance(number, int) else f"{number:,g}"
    return f"{shown} {noun if number == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "tch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
