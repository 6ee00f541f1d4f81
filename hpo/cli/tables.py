"""Tables of trials and studies, as every command shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.checks.causes import HEALTHY
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


def table_that_fits(columns: Mapping[str, Sequence[Text]], width: int, *, left: Collection[str]) -> Table:
    """A table without lines, of the first columns that fit side by side; rich would cut them all short.

    The columns in ``left`` hold words, the others numbers.
    """
    shown: list[str] = []
    for name, cells in columns.items():
        width -= max([len(name), *(cell.cell_len for cell in cells)]) + _GAP
        if width < 0 and shown:
            break
        shown.append(name)
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, _GAP, 0, 0))
    for name in shown:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for row in zip(*(columns[name] for name in shown), strict=True):
        table.add_row(*row)
    return table


_GAP = 2


def leaderboard_table(leaders: Sequence[Leader], width: int) -> Table:
    """The best trials with what was searched; what of it does not fit is named below."""
    searched = {
        name: [leader.searched[name] for leader in leaders]
        for name in (leaders[0].searched if leaders else ())
        if any(leader.searched[name] is not None for leader in leaders)
    }
    columns = {
        "rank": [Text(str(leader.rank)) for leader in leaders],
        "trial": [Text(str(leader.number)) for leader in leaders],
        "val_accuracy": [
            Text(words.accuracy(leader.value), "bold green" if leader.rank == 1 else "") for leader in leaders
        ],
        **{name: [Text(_cell(value)) for value in values] for name, values in searched.items()},
        "best epoch": [
            Text("" if leader.best_epoch is None else str(leader.best_epoch)) for leader in leaders
        ],
        "time": [
            Text("" if leader.seconds is None else words.duration(leader.seconds)) for leader in leaders
        ],
    }
    texts = [name for name, values in searched.items() if any(isinstance(value, str) for value in values)]
    table = table_that_fits(columns, width, left=texts)
    hidden = [name for name in searched if name not in {column.header for column in table.columns}]
    if hidden:
        table.caption = f"also searched: {', '.join(hidden)}"
        table.caption_justify, table.caption_style = "left", "dim"
    return table


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
