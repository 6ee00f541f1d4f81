"""`hpo query` as a command; tests/database/test_ad_hoc.py has what SQL can do."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from hpo.queries.saved_queries import NAMES, saved_query
from tests.helpers.command_output import Capture, error_text, output_lines

BEST = "SELECT max(value) AS best FROM results"


def lines(capsys: Capture, *command: str) -> list[str]:
    return output_lines(capsys, "query", *command)


def test_query_parameter_is_filled_in(demo: str, capsys: Capture) -> None:
    sql = "SELECT number, lr FROM results WHERE lr > :low ORDER BY lr"
    assert [line.split() for line in lines(capsys, sql, "--param", "low=1")] == [
        ["number", "lr"], ["──────", "──"], ["3", "2"], ["2", "5"],
    ]  # fmt: skip


def test_query_saved_query_runs_by_its_name(demo: str, capsys: Capture) -> None:
    shown = lines(capsys, "best", "-p", "count=1")
    assert shown[0].split()[:3] == ["rank", "number", "value"]
    assert [line.split()[:3] for line in shown[2:]] == [["1", "1", "0.8125"]]
    assert [line.split()[0] for line in lines(capsys, "curve", "-p", "study=demo", "-p", "number=0")][2:] == [
        "1", "2", "3",
    ]  # fmt: skip


def test_query_list_has_every_saved_query(capsys: Capture) -> None:
    shown = lines(capsys, "--list")
    assert [line.split()[0] for line in shown[1:]] == list(NAMES)
    assert shown[1].split("  ")[0] == "best"
    assert shown[1].endswith("study count=10")
    listed = json.loads("\n".join(lines(capsys, "--list", "--format", "json")))
    assert listed[0] == {
        "name": "best", "question": saved_query("best").title, "parameters": "study count=10",
    }  # fmt: skip


def test_query_show_prints_the_sql(capsys: Capture) -> None:
    assert "\n".join(lines(capsys, "curve", "--show")) + "\n" == saved_query("curve").sql


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("out.csv", "best\n0.8125\n"),
        ("out.JSON", '[\n{"best": 0.8125}\n]\n'),
        ("out.md", "| best |\n|---|\n| 0.8125 |\n"),
        ("out.txt", "  best\n──────\n0.8125\n"),
        ("out", "  best\n──────\n0.8125\n"),
    ],
)
def test_query_suffix_selects_the_format(
    demo: str, tmp_path: Path, capsys: Capture, name: str, text: str
) -> None:
    path = tmp_path / name
    assert lines(capsys, BEST, "-o", str(path)) == []
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == text


def test_query_parquet_suffix_selects_parquet(demo: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "out.parquet"
    assert lines(capsys, BEST, "-o", str(path)) == []
    assert parquet.read_table(path).to_pylist() == [{"best": 0.8125}]


def test_query_format_wins_over_the_suffix(demo: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "out.txt"
    lines(capsys, BEST, "--format", "csv", "-o", str(path))
    assert list(csv.reader(path.read_text().splitlines())) == [["best"], ["0.8125"]]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([BEST, "-o", "out.xlsx"], "error: out.xlsx: unknown format .xlsx; use one of .txt, .json, .csv,"),
        ([], 'error: expected SQL (hpo query "SELECT ...") or a name from `hpo query --list`'),
        (["bset"], "error: unknown saved query bset: did you mean best?"),
        (["nothing", "--show"], "error: unknown saved query nothing: `hpo query --list` shows all"),
        (["best", "-p", "study=dmo"], "error: there is no study dmo in this database: did you mean demo?"),
        (["curve", "-p", "number=9"], "error: study demo has no trial 9: its trials are 0 to 5"),
        (["SELECT 1", "-p", "n=1"], "error: the query has no parameter :n; it has none"),
        (["SELECT nix", "-o", "out.csv"], "error: no such column: nix"),
        (["SELECT 1 AS a, 2 AS a", "-o", "out.parquet"], "error: two columns are named a"),
        (["SELEC 1"], "error: hpo query only reads"),
        (["DELETE FROM trials"], "error: hpo query only reads"),
        (["SELECT :n"], "error: the query has parameters without a value: add --param n=..."),
        (["SELECT lrr FROM results"], "error: no such column: lrr (did you mean lr"),
    ],
)  # fmt: skip
def test_query_mistake_is_an_error_and_writes_nothing(
    demo: str,
    tmp_path: Path,
    command: list[str],
    message: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert error_text(capsys, "query", *command).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_query_parquet_is_refused_on_a_terminal(
    demo: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "add -o FILE" in error_text(capsys, "query", BEST, "--format", "parquet")
