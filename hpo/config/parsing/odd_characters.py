"""Characters that look like others, or like nothing, in text that people paste: named with their column."""

from __future__ import annotations

import re
import unicodedata

_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_QUOTES = "\u00ab\u00bb\u2018-\u201f\u2039\u203a"
_WIDE = "\uff0c\uff1a\uff3b\uff3d\uff5b\uff5d"
_ODD = re.compile(f"[{_SPACES}{_INVISIBLE}{_WIDE}]|^[{_QUOTES}]|[{_QUOTES}]$")
_ANYWHERE = re.compile(f"[{_SPACES}{_INVISIBLE}{_WIDE}{_QUOTES}]")
_TAB = re.compile("\t")
_MINUS = re.compile("[\u2010-\u2015\u2212](?=[.0-9])")
_NUMBER = re.compile("[-+.0-9eE_\u2010-\u2015\u2212]+")
_PLAIN = {"\t": "tab", "\u2028": "line separator", "\ufeff": "byte order mark", "\u00ad": "soft hyphen"}
_REPLACEMENTS = {"\uff0c": ",", "\uff1a": ":", "\uff3b": "[", "\uff3d": "]", "\uff5b": "{", "\uff5d": "}"}


def odd_character(text: str) -> re.Match[str] | None:
    """Return the first character that an unquoted YAML value or key can hardly be meant to have."""
    found = _ODD.search(text)
    if found is None and _NUMBER.fullmatch(text):
        found = _MINUS.search(text)
    return found


def odd_before(text: str, line: int) -> tuple[int, re.Match[str]] | None:
    """Return the odd character nearest to a line (1-based) where YAML's syntax broke, and its line.

    YAML reports such a character where it notices, on that line or the next one with text.
    """
    lines = text.split("\n")
    near = range(min(line, len(lines)), 0, -1)
    with_text = [number for number in near if lines[number - 1].strip(" \t\r")]
    for number in with_text[:2]:
        found = _ANYWHERE.search(lines[number - 1].split(" #")[0]) or _TAB.search(
            _indentation(lines[number - 1])
        )
        if found is not None and not lines[number - 1].startswith("#"):
            return number, found
    return None


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def name(character: str) -> str:
    """Return a character's name and code: ``a no-break space (U+00A0)``."""
    known = unicodedata.name(character, "control character").lower()
    word = _PLAIN.get(character, known)
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word} (U+{ord(character):04X})"


def advice(character: str) -> str:
    """Return what to write instead."""
    if character == "\t":
        return "indent with spaces"
    if re.match(f"[{_SPACES}]", character):
        return "write a normal space, or quote the value if it belongs to it"
    if re.match(f"[{_QUOTES}]", character):
        return "write straight quotes, or none"
    if character in _REPLACEMENTS:
        return f"write {_REPLACEMENTS[character]}"
    if re.match("[\u2010-\u2015\u2212]", character):
        return "write a hyphen: -"
    return "delete it, or quote the value if it belongs to it"
