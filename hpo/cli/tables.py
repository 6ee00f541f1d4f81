"""Tables of trials and studies, as every command shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.checks.verdict import HEALTHY
from hpo.cli.console import printable
from hpo.reporting import words
from hpo.results.ad_hoc import run_sql
from hpo.results.query import Leader, open_results


@contextmanager
def results(url: str) -> Iterator[Engine]:
    """The database, for reading; raises ``StorageError`` if hpo has not used it yet."""
    engine = open_results(url)
    try:
        yield engine
    finally:
        engine.dispose()


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table without lines, to be read and to be copied; the columns in ``right`` hold numbers."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def leaderboard_table(leaders: Sequence[Leader], console: Console) -> Table:
    """The best trials with what was searched, as many of its columns as the console is wide."""
    names = list(leaders[0].searched) if leaders else []
    searched = {name: [leader.searched[name] for leader in leaders] for name in names}
    columns: dict[str, list[str]] = {
        "rank": [str(leader.rank) for leader in leaders],
        "trial": [str(leader.number) for leader in leaders],
        "val_accuracy": [words.accuracy(leader.value) for leader in leaders],
        **{name: [_cell(value) for value in values] for name, values in searched.items() if _any_set(values)},
        "best epoch": ["" if leader.best_epoch is None else str(leader.best_epoch) for leader in leaders],
        "time": ["" if leader.seconds is None else words.duration(leader.seconds) for leader in leaders],
    }
    shown = _fitting(columns, console.width)
    texts = [name for name in names if any(isinstance(value, str) for value in searched[name])]
    table = plain_table(*shown, right=[name for name in shown if name not in texts])
    for row, leader in enumerate(leaders):
        style = "bold green" if leader.rank == 1 else ""
        table.add_row(*(Text(columns[name][row], style if name == "val_accuracy" else "") for name in shown))
    hidden = [name for name in names if name in columns and name not in shown]
    if hidden:
        table.caption = f"also searched: {', '.join(hidden)}"
        table.caption_justify, table.caption_style = "left", "dim"
    return table


def _any_set(values: Sequence[Any]) -> bool:
    """Whether a hyperparameter applied in any of the trials."""
    return any(value is not None for value in values)


def _fitting(columns: dict[str, list[str]], width: int) -> list[str]:
    """The names of the first columns that fit side by side."""
    shown = []
    for name, cells in columns.items():
        width -= max(len(name), *map(len, cells)) + 2 if cells else len(name) + 2
        if width < 0:
            break
        shown.append(name)
    return shown


def _cell(value: Any) -> str:
    return "–" if value is None else printable(words.setting(value))


@dataclass(frozen=True)
class Unwell:
    """Trials that a verdict calls by one name, such as ``exploded``; where ``lr`` was searched, its range."""

    label: str
    numbers: tuple[int, ...]
    lowest_lr: float | None
    highest_lr: float | None

    def __str__(self) -> str:
        lr = ""
        if self.lowest_lr is not None and self.highest_lr is not None:
            low, high = words.setting(self.lowest_lr), words.setting(self.highest_lr)
            lr = f", lr {low}" if low == high else f", lr {low} to {high}"
        numbers = ", ".join(map(str, self.numbers[:8])) + (" ..." if len(self.numbers) > 8 else "")
        return f"{self.label}: {words.count(len(self.numbers), 'trial')}{lr} (number {numbers})"


def unwell(url: str, study: str) -> list[Unwell]:
    """The trials of a study that did not go well, by their verdict's label, the most frequent first."""
    sql = "SELECT number, state, verdict, lr FROM results WHERE study = :study ORDER BY number"
    _, rows = run_sql(url, sql, {"study": study})
    groups: dict[str, list[tuple[int, float | None]]] = defaultdict(list)
    for number, state, verdict, lr in rows:
        if state in ("complete", "pruned", "failed") and verdict != HEALTHY:
            groups[(verdict or state).partition(":")[0]].append((number, lr))
    found = [_unwell(label, group) for label, group in groups.items()]
    return sorted(found, key=lambda each: -len(each.numbers))


def print_unwell(console: Console, found: Sequence[Unwell]) -> None:
    """One line for each way in which trials failed."""
    if found:
        console.print()
        console.print(Text("did not go well", "bold"))
    for each in found:
        console.print(Text(printable(f"  {each}")), soft_wrap=True)


def _unwell(label: str, group: list[tuple[int, float | None]]) -> Unwell:
    lrs = [lr for _, lr in group if lr is not None]
    return Unwell(label, tuple(number for number, _ in group), min(lrs, default=None), max(lrs, default=None))
