"""What ``groups`` and ``order`` read of each image: a folder, a part of its name, or a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo.config.division import FOLDER, NAME, DivisionRules, is_pattern, pattern
from hpo.errors import DataError
from hpo.files import path_text
from hpo.text import counted

Labels = npt.NDArray[np.int64]

_SHOWN = 3
_DAY_FIRST = re.compile(r"\s*\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})\b.*")
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Named:
    """Images by name: paths below their split's folder, or as a table has them; and the table's columns."""

    paths: Sequence[str]
    columns: Mapping[str, Sequence[str]] | None = None
    """By name; None for a folder, whose paths start with the class."""


@dataclass(frozen=True)
class Blocks:
    """Which images stay together.

    ``numbers`` (N,) int64 is the block of each image; ``ordered``: from the earliest block to the latest.
    """

    numbers: Labels
    names: tuple[str, ...]
    ordered: bool = False

    def of(self, rows: Labels | slice) -> Blocks:
        """Return the blocks of some of the images; the names stay."""
        return Blocks(self.numbers[rows], self.names, self.ordered)


def blocks_of(rules: DivisionRules, images: Named) -> Blocks | None:
    """Return the blocks of named images; None without ``groups`` and ``order``. Raises ``DataError``."""
    groups = None if rules.groups is None else _read("groups", rules.groups, images)
    order = None if rules.order is None else _read("order", rules.order, images)
    return blocks_from(groups, order)


def suspected_groups(images: Named) -> tuple[str, Blocks] | None:
    """Return a value of ``groups`` that may be right where none was asked for, and the blocks by it.

    It is a column that is called as groups are, or the folder below the class, if each image has one.
    """
    if images.columns is None:
        found = FOLDER, [_between(path) for path in images.paths]
    else:
        named = (each for each in images.columns if each.strip().lower() in _GROUP_COLUMNS)
        column = next(named, None)
        if column is None:
            return None
        found = column, list(images.columns[column])
    blocks = blocks_from(found[1], None) if all(found[1]) else None
    if blocks is None or not 2 <= len(blocks.names) <= len(images.paths) / 2:
        return None
    return found[0], blocks


_GROUP_COLUMNS = frozenset(
    f"{each}{end}"
    for each in (
        "patient",
        "subject",
        "person",
        "case",
        "group",
        "scene",
        "session",
        "series",
        "video",
        "slide",
    )
    for end in ("", "_id", "id", " id")
)


def blocks_from(groups: Sequence[str] | None, order: Sequence[str] | None) -> Blocks | None:
    """Return the blocks of images with these groups, these times, or both; None without either.

    With both, a group is as late as its latest image. Images of the same time are one block.
    """
    if order is None:
        if groups is None:
            return None
        names, numbers = np.unique(np.array(groups, dtype=object), return_inverse=True)
        return Blocks(numbers.astype(np.int64), tuple(names.tolist()))
    ranks, times = _ranked(order)
    if groups is None:
        return Blocks(ranks, times, ordered=True)
    latest: dict[str, int] = {}
    for group, rank in zip(groups, ranks.tolist(), strict=True):
        latest[group] = max(rank, latest.get(group, 0))
    names_by_time = sorted(latest, key=lambda group: (latest[group], group))
    place = {group: number for number, group in enumerate(names_by_time)}
    found = np.array([place[group] for group in groups], dtype=np.int64)
    return Blocks(found, tuple(names_by_time), ordered=True)


def _ranked(times: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Return the rank of each time among the different ones, and these, the earliest first."""
    day_first = next((each for each in times if _DAY_FIRST.fullmatch(each)), None)
    if day_first is not None:
        raise DataError(f"order: {day_first!r} may be day or month first: write dates as 2024-12-31")
    key: Callable[[str], Any] = _natural
    if all(_number(each) is not None for each in set(times)):
        key = _number
    different = sorted(set(times), key=lambda each: (key(each), each))
    place = {each: rank for rank, each in enumerate(different)}
    return np.array([place[each] for each in times], dtype=np.int64), tuple(different)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if "_" in text:  # 2024_12 is a year and a month, although Python reads a number
        return None
    return number if np.isfinite(number) else None


def _natural(text: str) -> Any:
    """Return a sort key under which frame 9 comes before frame 10."""
    parts = _NUMBERS.split(text)
    return [(1, 0, each) if place % 2 == 0 else (0, int(each), each) for place, each in enumerate(parts)]


def _read(key: str, rule: str, images: Named) -> list[str]:
    """Return a text for each image. Raises ``DataError`` if one has none."""
    what, found = _reader(key, rule, images)
    keys = [found(place) for place in range(len(images.paths))]
    without = [path_text(path) for path, each in zip(images.paths, keys, strict=True) if not each]
    if without:
        shown = ", ".join(without[:_SHOWN]) + (", ..." if len(without) > _SHOWN else "")
        if len(without) == len(keys):
            raise DataError(f"{key}: '{rule}' {what} none of {counted(len(keys), 'image')}, such as {shown}")
        raise DataError(
            f"{key}: '{rule}' {what} only {len(keys) - len(without):,} of {counted(len(keys), 'image')}, "
            f"not {shown}: every image needs one"
        )
    return keys


def _reader(key: str, rule: str, images: Named) -> tuple[str, Callable[[int], str]]:
    """Return what a rule does, in words, and a function from an image's place to its text."""
    if is_pattern(rule):
        try:
            search = pattern(rule).search
        except ValueError as error:
            raise DataError(f"{key}: '{rule}' {error}") from None
        return "matches", lambda place: _captured(search(images.paths[place]))
    if images.columns is not None and rule in images.columns:
        column = images.columns[rule]
        return "is filled in for", lambda place: column[place]
    if key == "order" and rule == NAME:
        return "is known of", lambda place: images.paths[place].replace("\\", "/").rsplit("/", 1)[-1]
    if images.columns is None and key == "groups" and rule == FOLDER:
        return "is a folder between the class and the file of", lambda place: _between(images.paths[place])
    raise DataError(f"{key}: '{rule}' {_known(key, images)}")


def _known(key: str, images: Named) -> str:
    example = "a pattern with one part in parentheses, such as '(p\\d+)_'"
    if images.columns is not None:
        columns = ", ".join(map(repr, images.columns)) or "none"
        names = f" or {NAME}," if key == "order" else ""
        return f"is not a column (there are {columns}): use a column,{names} or {example}"
    return f"is unknown: use {FOLDER if key == 'groups' else NAME}, or {example}"


def _captured(match: re.Match[str] | None) -> str:
    return (match[1] or "") if match else ""


def _between(path: str) -> str:
    """Return the first folder below the class; empty for an image directly in it."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""
