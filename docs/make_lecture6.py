"""Prints the tables of docs/lecture6.md from a database in which the three studies have run.

hpo run activations; hpo run initializers; hpo run preprocessing
python docs/make_lecture6.py [--storage sqlite:///hpo.db]
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass

from hpo.queries.sql import run_sql

CHANCE = "did not learn"


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


def cell(values: list[float | None], verdicts: list[str]) -> str:
    """Mean and standard error over the seeds in percent, and how many of them ended badly."""
    got = [100 * value for value in values if value is not None]
    exploded = sum(verdict.startswith("exploded") for verdict in verdicts)
    chance = sum(verdict.startswith(CHANCE) for verdict in verdicts)
    words = [f"{exploded} of {len(values)} exploded"] if exploded else []
    words += [f"{chance} of {len(values)} at chance"] if chance else []
    if not got:
        return ", ".join(words)
    error = statistics.stdev(got) / len(got) ** 0.5 if len(got) > 1 else 0.0
    return "; ".join([f"{statistics.mean(got):.1f} ± {error:.1f}", *words])


def print_table(url: str, comparison: Comparison) -> None:
    across = comparison.across or "'val accuracy, %'"
    _, rows = run_sql(
        url,
        f"SELECT {comparison.by}, {across}, value, verdict FROM results WHERE study = :study ORDER BY slot",
        {"study": comparison.study},
    )
    values: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    verdicts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, column, value, verdict in rows:
        values[name, column].append(value)
        verdicts[name, column].append(verdict or "")
    columns = list(dict.fromkeys(column for _, column in values))
    heads = [f"{comparison.across} {column}" if comparison.across else column for column in columns]
    print(f"\n| {comparison.by} | " + " | ".join(heads) + " |\n|---" + "|---:" * len(columns) + "|")
    for name in dict.fromkeys(name for name, _ in values):
        cells = [cell(values[name, column], verdicts[name, column]) for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--storage", default="sqlite:///hpo.db")
    url = parser.parse_args().storage
    for comparison in COMPARISONS:
        print_table(url, comparison)


if __name__ == "__main__":
    main()
