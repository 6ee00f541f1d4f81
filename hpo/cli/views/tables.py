"""Tables that several commands show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from hpo.cli.console import printable
from hpo.config.objective import ACCURACY, Objective
from hpo.config.study import MAIN
from hpo.config.tradeoff import amount_text
from hpo.queries.study import Leader
from hpo.queries.tradeoffs import Tradeoffs
from hpo.reporting import formatting

SEVERITY_STYLES = {"pass": "green", "note": "cyan", "warn": "yellow", "fatal": "red"}


def table_that_fits(columns: Mapping[str, Sequence[Text]], width: int, *, left: Collection[str]) -> Table:
    """Return a table of the first columns that fit side by side (rich would shorten every column).

    The columns in ``left`` hold text, the others numbers.
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


def front_table(tradeoffs: Tradeoffs, width: int, goal: Objective) -> Table:
    """Return the trials that no other one beats in both objectives."""
    front = tradeoffs.front
    stages = [each.stage for each in front]
    columns = {
        "on the front": [Text(f"trial {each.number}") for each in front],
        **({} if set(stages) <= {MAIN} else {"stage": [Text(printable(stage)) for stage in stages]}),
        tradeoffs.of.quantity: [Text(amount_text(each.amount)) for each in front],
        goal.metric: [Text(goal.text(each.value)) for each in front],
    }
    return table_that_fits(columns, width, left=("on the front", "stage"))


def leaderboard_table(leaders: Sequence[Leader], width: int, goal: Objective = ACCURACY) -> Table:
    """Return the best trials with their searched values; a caption names values that do not fit."""
    searched = {
        name: [leader.searched[name] for leader in leaders]
        for name in (leaders[0].searched if leaders else ())
        if any(leader.searched[name] is not None for leader in leaders)
    }
    stages = [leader.stage for leader in leaders]
    columns = {
        "rank": [Text(str(leader.rank)) for leader in leaders],
        **({} if set(stages) <= {MAIN} else {"stage": [Text(printable(stage)) for stage in stages]}),
        "trial": [Text(str(leader.number)) for leader in leaders],
        goal.metric: [
            Text(goal.text(leader.value), "bold green" if leader.rank == 1 else "") for leader in leaders
        ],
        **{name: [Text(_cell(value)) for value in values] for name, values in searched.items()},
        "best epoch": [
            Text("" if leader.best_epoch is None else str(leader.best_epoch)) for leader in leaders
        ],
        "time": [
            Text("" if leader.seconds is None else formatting.duration(leader.seconds)) for leader in leaders
        ],
    }
    texts = ["stage"]
    texts += [name for name, values in searched.items() if any(isinstance(value, str) for value in values)]
    table = table_that_fits(columns, width, left=texts)
    hidden = [name for name in searched if name not in {column.header for column in table.columns}]
    notes = [f"also searched: {', '.join(hidden)}"] if hidden else []
    if len(set(stages)) > 1:
        notes.append("trials of different stages are not comparable: other epochs, data, seeds or folds")
    if notes:
        table.caption = "\n".join(notes)
        table.caption_justify, table.caption_style = "left", "dim"
    return table


def _cell(value: Any) -> str:
    return "–" if value is None else printable(formatting.setting(value))
