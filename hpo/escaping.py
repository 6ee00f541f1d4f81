"""Text from files and databases, made safe to show: on a terminal, and in Markdown."""

from __future__ import annotations

import re

# Names and messages may hold anything; control characters could rewrite a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKED = re.compile(r"([\\`*\[\]<>|~$&]|\b_(?!\w)|(?<!\w)_)")


def printable(text: str) -> str:
    """Escape control characters, as in ``\\x1b``."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Escape control characters, ends of lines among them, so that a name cannot look like another line."""
    return printable(text).replace("\n", "\\n")


def markdown(text: str) -> str:
    """Escape Markdown, HTML and control characters, and join lines: it stays one paragraph or table cell."""
    return _MARKED.sub(r"\\\1", printable(" ".join(text.split())))
