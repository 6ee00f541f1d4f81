"""What ``hpo data`` prints of a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from hpo.cli.console import print_title, printable
from hpo.cli.views.tables import table_that_fits
from hpo.data.duplicates import Pair
from hpo.data.overview import IMBALANCED, Overview
from hpo.files import path_text
from hpo.text import counted
from hpo.training.data_overview import LookedAt

_MOST = 20
"""Classes in the table."""
_SHOWN = 5
"""Files and pairs named."""
_BAR = 20


def print_data(console: Console, found: LookedAt) -> None:
    """Print everything that was found, most important first."""
    overview = found.overview
    _line(console, found.origin)
    _print_classes(console, overview)
    if overview.sizes:
        print_title(console, "images")
    for line in (*_sizes(overview), *found.reasons):
        _line(console, line)
    problems = [*found.warnings, *overview.remarks, *filter(None, [found.refusal])]
    if overview.unusable or problems:
        print_title(console, "to know before training")
        for line in (*_unusable(overview), *problems):
            _line(console, line, "yellow")
    _print_pairs(console, overview.pairs)
    if overview.sizes:
        print_title(console, "a study of them")
    for line in found.study.splitlines() if overview.sizes else ():
        _line(console, f"  {line}")


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(printable(text), style), soft_wrap=True)


def _print_classes(console: Console, overview: Overview) -> None:
    print_title(console, counted(len(overview.classes), "class"))
    train, test = overview.counts["train"], overview.counts["test"]
    given = overview.counts["validation"]
    names = list(overview.classes)
    if len(names) > _MOST:
        ranked = sorted(names, key=lambda name: (-train[name], name))
        names = [*ranked[: _MOST // 2], *ranked[-_MOST // 2 :]]
    most = max(train.values(), default=1)
    columns = {
        "class": [Text(printable(name)) for name in names],
        "train": [Text(f"{train[name]:,}") for name in names],
        **({"validation": [Text(f"{given[name]:,}") for name in names]} if given else {}),
        "test": [Text(f"{test[name]:,}", "" if test[name] else "yellow") for name in names],
        "": [
            Text("█" * max(1, round(_BAR * train[name] / most)) if train[name] else "", "blue")
            for name in names
        ],
    }
    table = table_that_fits(columns, console.width, left=("class", ""))
    if len(names) < len(overview.classes):
        table.caption = (
            f"the {_MOST // 2} largest and the {_MOST // 2} smallest of "
            f"{counted(len(overview.classes), 'class')}"
        )
        table.caption_justify, table.caption_style = "left", "dim"
    console.print(table)
    if not train.total():
        return
    _line(console, f"always naming the largest class has an accuracy of {overview.constant_accuracy:.3f}")
    if IMBALANCED <= overview.imbalance < math.inf:
        factor = f"{overview.imbalance:.0f} times as many images as the smallest"
        _line(console, f"the largest class has {factor}: accuracy hides the rare ones", "yellow")


def _sizes(overview: Overview) -> Iterator[str]:
    if not overview.sizes:
        return
    ((width, height), count), *others = overview.sizes.most_common()
    if not others:
        yield f"every image has {height} x {width} pixels"
    else:
        low, middle, high = overview.short_sides
        yield (
            f"{len(others) + 1:,} sizes, most often {height} x {width} ({counted(count, 'image')}); "
            f"short sides from "
            f"{low} to {high} pixels, half of them at least {middle}"
        )
    if overview.modes:
        yield ", ".join(f"{mode} {count:,}" for mode, count in overview.modes.most_common(_SHOWN))


def _unusable(overview: Overview) -> Iterator[str]:
    found = overview.unusable
    if not found:
        return
    images = counted(len(found), "image cannot", "images cannot")
    yield f"{images} be used; repair or remove {'it' if len(found) == 1 else 'them'}:"
    for path, reason in found[:_SHOWN]:
        yield f"  {path_text(path)}: {reason}"
    if len(found) > _SHOWN:
        yield f"  and {len(found) - _SHOWN:,} more (--json lists all)"


_KINDS: tuple[tuple[str, str, Callable[[Pair], bool]], ...] = (
    *(
        (
            f"both in {one} and in {other}, so that {'the test' if other == 'test' else other} is too easy",
            "bold red",
            lambda pair, splits=frozenset((split, other)): pair.splits == splits,
        )
        for split, one, other in (
            ("train", "training", "validation"),
            ("train", "training", "test"),
            ("validation", "validation", "test"),
        )
    ),
    ("in two classes, one of which is wrong", "bold red", lambda pair: not pair.leaks and pair.contradicts),
    ("within a split", "", lambda pair: not pair.leaks and not pair.contradicts),
)


def _print_pairs(console: Console, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    print_title(console, "duplicates")
    for where, style, belongs in _KINDS:
        for exact, what in ((True, "equal image"), (False, "nearly equal image")):
            found = [pair for pair in pairs if pair.exact == exact and belongs(pair)]
            if not found:
                continue
            _line(console, f"{counted(len(found), f'pair of {what}s', f'pairs of {what}s')} {where}", style)
            for pair in found[:_SHOWN]:
                _line(console, f"  {_named(pair)}", "dim")


def _named(pair: Pair) -> str:
    one, other = pair.first, pair.second
    classes = f" ({one.label}, {other.label})" if pair.contradicts else f" ({one.label})"
    return f"{path_text(one.name)} and {path_text(other.name)}{classes}"
