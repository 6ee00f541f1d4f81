"""What a report is made of, whether it becomes HTML or Markdown. All texts are plain text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, TypeAlias


@dataclass(frozen=True)
class Paragraph:
    """A few sentences; ``quiet`` for what is only for those who want to know."""

    kind: ClassVar[str] = "paragraph"
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    kind: ClassVar[str] = "points"
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Columns whose names are in ``right`` hold numbers. ``trials`` makes a row the target of links to it.

    A table with a ``summary`` is folded below it.
    """

    kind: ClassVar[str] = "table"
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    trials: tuple[int, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture by its name, what it shows in a sentence, and whether it may stand beside others."""

    kind: ClassVar[str] = "picture"
    name: str
    caption: str
    small: bool = False


@dataclass(frozen=True)
class Note:
    """Something found, with the trials that show it and what to do; ``family`` gives it its colour."""

    kind: ClassVar[str] = "note"
    title: str
    text: str = ""
    family: str = "open"
    examples: tuple[tuple[int, str], ...] = ()
    remedy: str = ""
    action: str = "try"
    """What the remedy is called."""


@dataclass(frozen=True)
class Code:
    """Text to be copied; folded below its ``summary`` if it has one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


Block: TypeAlias = Paragraph | Points | Facts | Table | Picture | Note | Code


@dataclass(frozen=True)
class Section:
    """A part of the report with a title; ``slug`` is its address within the page."""

    slug: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def runs(self) -> list[tuple[bool, list[Block]]]:
        """The blocks, small pictures in a row together."""
        return [(small, list(blocks)) for small, blocks in groupby(self.blocks, _is_small)]


@dataclass(frozen=True)
class Tile:
    """A number that one should see first."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """A whole report; ``short`` is what somebody reads who reads nothing else."""

    study: str
    subtitle: str
    state: str
    tiles: tuple[Tile, ...]
    short: tuple[str, ...]
    sections: tuple[Section, ...]
    made: str
    """When and with what."""

    def with_only(self, pictures: frozenset[str]) -> Report:
        """The report without the pictures that could not be made or are not wanted."""
        kept = (
            replace(section, blocks=tuple(each for each in section.blocks if _shown(each, pictures)))
            for section in self.sections
        )
        return replace(self, sections=tuple(section for section in kept if section.blocks))


def _is_small(block: Block) -> bool:
    return isinstance(block, Picture) and block.small


def _shown(block: Block, pictures: frozenset[str]) -> bool:
    return not isinstance(block, Picture) or block.name in pictures
