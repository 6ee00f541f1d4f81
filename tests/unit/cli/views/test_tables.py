"""The leaderboard as a table, on wide and narrow terminals."""

from __future__ import annotations

import io

from rich.console import Console

from hpo.cli.views.tables import leaderboard_table
from hpo.queries.study import Leader

LEADERS = [
    Leader(
        1, 7, 0.81, 4, 61.0, "healthy", {"lr": 0.01, "activation": "leaky_relu", "momentum": None, "width": 8}
    ),
    Leader(2, 3, 0.79, 3, 59.0, "healthy", {"lr": 0.5, "activation": "tanh", "momentum": None, "width": 16}),
]


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False)
    with console.capture() as capture:
        console.print(leaderboard_table(LEADERS, width))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_leaderboard_shows_searched_values_that_applied() -> None:
    assert drawn(200) == [
        "rank  trial  val_accuracy    lr  activation  width  best epoch        time",
        "   1      7        0.8100  0.01  leaky_relu      8           4  1 min 01 s",
        "   2      3        0.7900   0.5  tanh           16           3        59 s",
    ]


def test_leaderboard_too_wide_names_hidden_columns() -> None:
    lines = drawn(50)
    assert lines[0] == "rank  trial  val_accuracy    lr  activation"
    assert lines[-1] == "also searched: width"


def test_leaderboard_without_leaders_has_no_rows() -> None:
    assert leaderboard_table([], 80).row_count == 0
