"""Text in messages: counts with their nouns, and text from files and databases made safe to show."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Names and messages may hold anything; control characters could rewrite a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKED = re.compile(r"([\\`*\[\]<>|~$&]|\b_(?!\w)|(?<!\w)_)")


def counted(number: float, noun: str, plural: str = "") -> str:
    """Format a count with its noun: ``1 trial``, ``1,200 trials``, ``2 classes``. Every message uses this.

    ``plural`` is the noun's, or a phrase's such as ``trials were``.
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:,g}"
    return f"{shown} {noun if number == 1 else plural or _plural(noun)}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Join names, at most ``most`` of them: ``a, b and c``, ``a, b and 4 more``."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def fixed(number: float, digits: int) -> str:
    """Format a number with ``digits`` after the point; from a million on, with an exponent: ``5.87e+33``."""
    return f"{number:.{digits}f}" if abs(number) < 1e6 else f"{number:.3g}"


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "tch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def printable(text: str) -> str:
    """Escape control characters, as in ``\\x1b``."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Escape control characters, ends of lines among them, so that a name cannot look like another line."""
    return printable(text).replace("\n", "\\n")


def markdown(text: str) -> str:
    """Escape Markdown, HTML and control characters, and join lines: it stays one paragraph or table cell."""
    return _MARKED.sub(r"\\\1", printable(" ".join(text.split())))


def duration(seconds: float) -> str:
    """Format seconds as ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
