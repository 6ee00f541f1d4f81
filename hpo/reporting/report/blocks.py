"""The parts of a report, independent of HTML and Markdown. All texts are plain text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, TypeAlias


@dataclass(frozen=True)
class Paragraph:
    """A few sentences; ``quiet`` for background."""

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
    """Rows of cells. Columns named in ``right`` hold numbers; ``trials`` lets links lead to the rows.

    A table with a ``summary`` is folded under it.
    """

    kind: ClassVar[str] = "table"
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    trials: tuple[int, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture by its name, with a caption; ``small`` ones are placed side by side."""

    kind: ClassVar[str] = "picture"
    name: str
    caption: str
    small: bool = False


@dataclass(frozen=True)
class Note:
    """A finding with examples and a remedy; ``family`` sets its color."""

    kind: ClassVar[str] = "note"
    title: str
    text: str = ""
    family: str = "open"
    examples: tuple[tuple[int, str], ...] = ()
    remedy: str = ""
    action: str = "try"
    """The label of the remedy."""


@dataclass(frozen=True)
class Code:
    """Text to copy; folded under its ``summary`` if it has one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


Block: TypeAlias = Paragraph | Points | Facts | Table | Picture | Note | Code


@dataclass(frozen=True)
class Section:
    """A titled part of the report; ``slug`` is its anchor."""

    slug: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def runs(self) -> list[tuple[bool, list[Block]]]:
        """The blocks, with consecutive small pictures grouped."""
        return [(small, list(blocks)) for small, blocks in groupby(self.blocks, _is_small)]


@dataclass(frozen=True)
class Tile:
    """A key number."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """A whole report; ``short`` is its summary, in sentences."""

    study: str
    subtitle: str
    state: str
    tiles: tuple[Tile, ...]
    short: tuple[str, ...]
    sections: tuple[Section, ...]
    made: str
    """The date, and the version of hpo."""

    def with_only(self, pictures: frozenset[str]) -> Report:
        """Return the report with these pictures only, without sections that become empty."""
        kept = (
            replace(section, blocks=tuple(each for each in section.blocks if _shown(each, pictures)))
            for section in self.sections
        )
        return replace(self, sections=tuple(section for section in kept if section.blocks))


def _is_small(block: Block) -> bool:
    return isinstance(block, Picture) and block.small


def _shown(block: Block, pictures: frozenset[str]) -> bool:
    return not isinstance(block, Picture) or block.name in pictures
