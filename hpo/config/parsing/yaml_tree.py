"""YAML as a tree whose every value knows its line; safe for untrusted input.

Values are resolved as in YAML 1.2: ``1e-4`` is a number, ``off`` and ``none`` are strings (PyYAML's YAML 1.1
makes them a string and a boolean). The tree is built from libyaml's events, so that nesting and aliases are
limited before anything is constructed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.reader import Reader

from hpo.config.parsing import odd_characters
from hpo.errors import Problem, StudyFileError

MAX_VALUES = 10_000  # with aliases expanded; a study file has tens
MAX_DEPTH = 20

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = re.compile(r"~|null|Null|NULL|", re.ASCII)
_BOOL = re.compile(r"(true|True|TRUE)|(false|False|FALSE)")
_INT = re.compile(r"[-+]?([0-9]+|[0-9]{1,3}(_[0-9]{3})+)", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)", re.ASCII
)
_MAX_DIGITS = 400  # longer ones stay strings: int() refuses thousands of digits


@dataclass(frozen=True)
class Place:
    """Where something is written: a line of the file, or (``source``) an override on the command line."""

    line: int | None = None
    source: str = ""

    def problem(self, key: str, message: str, hint: str = "") -> Problem:
        """Return a problem at this place."""
        return Problem(message, key, self.line, hint, self.source)


@dataclass(frozen=True)
class ScalarNode:
    """A single value; ``text`` is how it is written."""

    value: bool | int | float | str | None
    text: str
    place: Place


@dataclass(frozen=True)
class SequenceNode:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True)
class MappingNode:
    """A mapping; ``keys`` are the places of its keys."""

    entries: dict[str, Node]
    keys: dict[str, Place]
    place: Place

    def with_entry(self, key: str, node: Node) -> MappingNode:
        """Return a copy with one entry set."""
        return replace(self, entries={**self.entries, key: node}, keys={**self.keys, key: node.place})

    def without(self, *names: str) -> MappingNode:
        """Return a copy without some entries."""
        entries = {key: node for key, node in self.entries.items() if key not in names}
        return replace(self, entries=entries)


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def read_tree(text: str, source: str, problems: list[Problem], *, override: bool = False) -> Node:
    """Parse the only document in ``text``; mistakes that allow parsing to continue are added to ``problems``.

    Raises ``StudyFileError`` for the others. With ``override``, ``source`` is the place of every value.
    """
    builder = _TreeBuilder(source if override else "", text, problems)
    unprintable = Reader.NON_PRINTABLE.search(text)
    try:
        if unprintable is not None:
            line, column = _position(text, unprintable.start())
            raise _Unreadable(line, f"an unprintable character {unprintable.group()!r} at column {column}")
        return builder.document(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error, text, builder.source)
    except _Unreadable as error:
        problem = Problem(error.message, "", None if override else error.line, error.hint, builder.source)
    raise StudyFileError(source, [*problems, problem])


class _Unreadable(Exception):  # noqa: N818 - becomes a Problem, is never shown as an exception
    def __init__(self, line: int, message: str, hint: str = "") -> None:
        self.line, self.message, self.hint = line, message, hint


@dataclass
class _TreeBuilder:
    source: str
    text: str
    problems: list[Problem]
    anchors: dict[str, tuple[Node, int] | None] = field(default_factory=dict)
    count: int = 0

    def document(self, events: Iterator[Event]) -> Node:
        node: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if node is not None:
                    raise _Unreadable(
                        self._line(event), "a second YAML document starts here (---)", "one study per file"
                    )
                node = self._node(next(events), events, depth=0)
            elif isinstance(event, StreamEndEvent):
                break
        return node if node is not None else ScalarNode(None, "", self._place(1))

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> Node:
        line = self._line(event)
        if isinstance(event, AliasEvent):
            return self._alias(event, line)
        assert isinstance(event, NodeEvent)
        self._count(1, line)
        before = self.count
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag not in (None, "!"):
            raise _Unreadable(
                line, f"tags such as {event.tag.rpartition(':')[2]} are not used in study files"
            )
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if isinstance(event, ScalarEvent):
            plain = event.implicit[0] and not event.style
            if plain and (odd := odd_characters.odd_character(event.value)) is not None:
                self._refuse_odd(odd.group(), event, line)
            value = resolve(event.value) if plain else event.value
            node: Node = ScalarNode(value, event.value, self._place(line))
        elif depth >= MAX_DEPTH:
            raise _Unreadable(line, f"more than {MAX_DEPTH} levels of nesting")
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(events, line, depth + 1)
        else:
            node = self._sequence(events, line, depth + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.count - before + 1)
        return node

    def _refuse_odd(self, character: str, event: ScalarEvent, line: int) -> None:
        """Report a character of an unquoted value or key that is not what it looks like."""
        column = event.start_mark.column if event.start_mark else 0
        start = len("\n".join(self.text.split("\n")[: line - 1])) + (line > 1) + column
        place = self.text.find(character, start)
        line, column = _position(self.text, place) if place >= 0 else (line, column + 1)
        message = f"{odd_characters.name(character)} at column {column}"
        raise _Unreadable(line, message, odd_characters.advice(character))

    def _sequence(self, events: Iterator[Event], line: int, depth: int) -> SequenceNode:
        items: list[Node] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._node(event, events, depth))
        return SequenceNode(tuple(items), self._place(line))

    def _mapping(self, events: Iterator[Event], line: int, depth: int) -> MappingNode:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._node(event, events, depth)
            if not isinstance(key, ScalarNode):
                raise _Unreadable(self._line(event), "a list or mapping cannot be a key")
            node = self._node(next(events), events, depth)
            if key.text in entries:
                first = keys[key.text].line
                where = "" if first is None else f" first on line {first}, again here"
                self.problems.append(
                    key.place.problem(key.text, f"given twice:{where}" if where else "given twice")
                )
                continue
            entries[key.text], keys[key.text] = node, key.place
        return MappingNode(entries, keys, self._place(line))

    def _alias(self, event: AliasEvent, line: int) -> Node:
        if event.anchor not in self.anchors:
            raise _Unreadable(line, f"*{event.anchor} is undefined: there is no &{event.anchor} above it")
        found = self.anchors[event.anchor]
        if found is None:
            raise _Unreadable(line, f"*{event.anchor} refers to itself")
        node, size = found
        self._count(size, line)
        return node

    def _count(self, values: int, line: int) -> None:
        self.count += values
        if self.count > MAX_VALUES:
            raise _Unreadable(
                line, f"more than {MAX_VALUES:,} values (with aliases expanded); this is not a study file"
            )

    def _line(self, event: Event) -> int:
        return event.start_mark.line + 1 if event.start_mark else 1

    def _place(self, line: int) -> Place:
        return Place(None, self.source) if self.source else Place(line)


def resolve(text: str) -> bool | int | float | str | None:
    """Resolve an unquoted scalar as YAML 1.2's core schema does, with ``_`` allowed between thousands."""
    if _NULL.fullmatch(text):
        return None
    if found := _BOOL.fullmatch(text):
        return found.group(1) is not None
    if len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(
            text.replace(".inf", "inf").replace(".Inf", "inf").replace(".nan", "nan").replace(".NaN", "nan")
        )
    return text


def plain(node: Node) -> Any:
    """Return the values of a node without their places."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return {key: plain(entry) for key, entry in node.entries.items()}


_SYNTAX_HINTS = {
    "mapping values are not allowed": "is the indentation wrong, or does a string with ': ' need quotes?",
    "found character that cannot start any token": "indent with spaces, not tabs; a string that starts "
    "with a special character needs quotes",
    "found character '\\t'": "indent with spaces, not tabs",
    "tab character": "indent with spaces, not tabs",
    "found unexpected ':'": "write key: value, with a space after the colon",
    "could not find expected ':'": "write key: value, with a space after the colon",
    "did not find expected key": "is the indentation wrong?",
    "expected <block end>": "is the indentation wrong?",
    "did not find expected ',' or ']'": "close the list with ]",
    "expected ',' or ']'": "close the list with ]",
    "did not find expected ',' or '}'": "close the mapping with }",
    "expected ',' or '}'": "close the mapping with }",
}


def _position(text: str, index: int) -> tuple[int, int]:
    """Return the line and the column of a character, both from 1."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, source: str) -> Problem:
    what = error.problem or "unknown error"
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    if line is not None and line > len(text.splitlines()) and error.context_mark:
        line = error.context_mark.line + 1
    odd = odd_characters.odd_before(text, line or 1)
    if odd is not None:
        character = odd[1].group()
        what = f"{odd_characters.name(character)} at column {odd[1].start() + 1}"
        return Problem(what, "", None if source else odd[0], odd_characters.advice(character), source)
    hint = next((hint for part, hint in _SYNTAX_HINTS.items() if part in what), "")
    if source:
        return Problem(f"not readable as YAML: {what}", "", None, hint, source)
    return Problem(f"not readable as YAML: {what}", "", line, hint)
