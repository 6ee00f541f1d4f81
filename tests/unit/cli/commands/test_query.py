"""`hpo query` as a command; what SQL may do is in tests/database/test_ad_hoc.py."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from hpo.cli.app import run_command
from hpo.queries.saved_queries import NAMES, question

Capture = pytest.CaptureFixture[str]
BEST = "SELECT max(value) AS best FROM results"


def lines(capsys: Capture, *command: str) -> list[str]:
    assert run_command(["query", *command]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_parameter(demo: str, capsys: Capture) -> None:
    sql = "SELECT number, lr FROM results WHERE lr > :low ORDER BY lr"
    assert [line.split() for line in lines(capsys, sql, "--param", "low=1")] == [
        ["number", "lr"], ["──────", "──"], ["3", "2"], ["2", "5"],
    ]  # fmt: skip


def test_a_ready_question_by_its_name(demo: str, capsys: Capture) -> None:
    shown = lines(capsys, "best", "-p", "count=1")
    assert shown[0].split()[:3] == ["rank", "number", "value"]
    assert [line.split()[:3] for line in shown[2:]] == [["1", "1", "0.8125"]]
    assert [line.split()[0] for line in lines(capsys, "curve", "-p", "study=demo", "-p", "number=0")][2:] == [
        "1", "2", "3",
    ]  # fmt: skip


def test_the_list_of_questions(capsys: Capture) -> None:
    shown = lines(capsys, "--list")
    assert [line.split()[0] for line in shown[1:]] == list(NAMES)
    assert shown[1].split("  ")[0] == "best"
    assert shown[1].endswith("study count=10")
    listed = json.loads("\n".join(lines(capsys, "--list", "--format", "json")))
    assert listed[0] == {
        "name": "best", "question": question("best").title, "parameters": "study count=10",
    }  # fmt: skip


def test_a_questions_sql(capsys: Capture) -> None:
    assert run_command(["query", "curve", "--show"]) == 0
    assert capsys.readouterr().out == question("curve").sql


@pytest.mark.parametrize("name", ["out.csv", "out.JSON", "out.md", "out.parquet", "out.txt", "out"])
def test_a_files_ending_says_its_format(demo: str, tmp_path: Path, capsys: Capture, name: str) -> None:
    path = tmp_path / name
    assert lines(capsys, BEST, "-o", str(path)) == []
    assert list(tmp_path.iterdir()) == [path]
    if name == "out.parquet":
        assert parquet.read_table(path).to_pylist() == [{"best": 0.8125}]
        return
    assert path.read_text() == {
        "out.csv": "best\n0.8125\n",
        "out.JSON": '[\n{"best": 0.8125}\n]\n',
        "out.md": "| best |\n|---|\n| 0.8125 |\n",
    }.get(name, "  best\n──────\n0.8125\n")


def test_the_format_that_is_asked_for_wins(demo: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "out.txt"
    lines(capsys, BEST, "--format", "csv", "-o", str(path))
    assert list(csv.reader(path.read_text().splitlines())) == [["best"], ["0.8125"]]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([BEST, "-o", "out.xlsx"], "error: out.xlsx: unknown format .xlsx; use one of .txt, .json, .csv,"),
        ([], 'error: expected SQL (hpo query "SELECT ...") or a name from `hpo query --list`'),
        (["bset"], "error: there is no ready question bset: did you mean best?"),
        (["nothing", "--show"], "error: there is no ready question nothing: `hpo query --list` shows all"),
        (["best", "-p", "study=dmo"], "error: there is no study dmo in this database: did you mean demo?"),
        (["curve", "-p", "number=9"], "error: study demo has no trial 9: its trials are 0 to 5"),
        (["SELECT 1", "-p", "n=1"], "error: the query has no parameter :n; it has none"),
        (["SELECT nix", "-o", "out.csv"], "error: no such column: nix"),
        (["SELECT 1 AS a, 2 AS a", "-o", "out.parquet"], "error: two columns are named a"),
    ],
)  # fmt: skip
def test_mistakes(
    demo: str,
    tmp_path: Path,
    command: list[str],
    message: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["query", *command]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_parquet_is_kept_off_a_terminal(demo: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run_command(["query", BEST, "--format", "parquet"]) == 2
    assert "add -o FILE" in capsys.readouterr().err
