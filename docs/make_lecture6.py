"""Print the tables of docs/lecture6.md from a database with the three studies.

hpo run activations; hpo run initializers; hpo run preprocessing
python docs/make_lecture6.py [--storage sqlite:///hpo.db]
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass

from hpo.queries.sql import run_sql

EXPLODED, CHANCE = "exploding_loss", "not_learning"
"""Causes of verdicts."""


@dataclass(frozen=True)
class Comparison:
    """A study's table: its rows are ``by``, its columns the values of ``across`` (one column without it)."""

    study: str
    by: str
    across: str | None


COMPARISONS = (
    Comparison("activations", "activation", "batch_norm"),
    Comparison("initializers", "initializer", "depth"),
    Comparison("preprocessing", "preprocessing", None),
)


def cell(values: list[float | None], causes: list[str]) -> str:
    """Return mean and standard error over the seeds in percent, and how many seeds failed."""
    got = [100 * value for value in values if value is not None]
    exploded = causes.count(EXPLODED)
    chance = causes.count(CHANCE)
    failures = [f"{exploded} of {len(values)} exploded"] if exploded else []
    failures += [f"{chance} of {len(values)} at chance"] if chance else []
    if not got:
        return ", ".join(failures)
    error = statistics.stdev(got) / len(got) ** 0.5 if len(got) > 1 else 0.0
    return "; ".join([f"{statistics.mean(got):.1f} ± {error:.1f}", *failures])


def print_table(url: str, comparison: Comparison) -> None:
    across = comparison.across or "'val accuracy, %'"
    _, rows = run_sql(
        url,
        f"SELECT {comparison.by}, {across}, value, cause FROM results WHERE study = :study ORDER BY slot",
        {"study": comparison.study},
    )
    values: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    causes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, column, value, cause in rows:
        values[name, column].append(value)
        causes[name, column].append(cause or "")
    columns = list(dict.fromkeys(column for _, column in values))
    heads = [f"{comparison.across} {column}" if comparison.across else column for column in columns]
    print(f"\n| {comparison.by} | " + " | ".join(heads) + " |\n|---" + "|---:" * len(columns) + "|")
    for name in dict.fromkeys(name for name, _ in values):
        cells = [cell(values[name, column], causes[name, column]) for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--storage", default="sqlite:///hpo.db")
    url = parser.parse_args().storage
    for comparison in COMPARISONS:
        print_table(url, comparison)


if __name__ == "__main__":
    main()
