"""What status, show, studies and schema print, from a database with one of everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.cli.app import run_command
from hpo.config.parsing.source import bundled_text
from hpo.config.schema import schema_text

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture, *command: str) -> list[str]:
    assert run_command(command) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_status_lists_the_studies(demo: str, capsys: Capture) -> None:
    heading, row = lines(capsys, "status")
    names = ["study", "done", "best", "running", "complete", "pruned", "failed", "waiting", "data"]
    assert heading.split()[:9] == names
    assert row.split()[:9] == ["demo", "5/6", "0.8125", "1", "2", "2", "1", "0", "synthetic"]


def test_status_of_a_study_shows_workers_leaders_and_failures(demo: str, capsys: Capture) -> None:
    shown = lines(capsys, "status", "demo")
    assert [line.split()[:3] for line in shown if line.startswith("host")] == [["host:1:w", "5", "0"]]
    start = next(i for i, line in enumerate(shown) if line.startswith("rank"))
    assert [line.split() for line in shown[start : start + 3]] == [
        ["rank", "trial", "val_accuracy", "lr", "optimizer", "momentum", "best", "epoch", "time"],
        ["1", "1", "0.8125", "0.01", "adam", "–", "2", "4", "s"],
        ["2", "0", "0.7100", "0.05", "sgd", "0.9", "3", "4", "s"],
    ]
    assert shown[-3:] == [
        "did not go well",
        "  exploded: 2 trials, lr 2 to 5 (number 2, 3)",
        "  error: 1 trial, lr 0.02 (number 4)",
    ]


def test_status_as_json(demo: str, capsys: Capture) -> None:
    studies = json.loads("\n".join(lines(capsys, "status", "--json")))
    assert [(each["name"], each["done"], each["trials"]) for each in studies] == [("demo", 5, 6)]
    study = json.loads("\n".join(lines(capsys, "status", "demo", "--json")))
    assert (study["best_number"], study["best_value"]) == (1, 0.8125)
    assert study["leaderboard"][0]["searched"] == {"lr": 0.01, "optimizer": "adam", "momentum": None}
    assert study["unwell"][0] == {
        "cause": "exploding_loss", "label": "exploded", "numbers": [2, 3],
        "lowest_lr": 2.0, "highest_lr": 5.0,
    }  # fmt: skip


def test_show_a_good_trial(demo: str, capsys: Capture) -> None:
    shown = lines(capsys, "show", "demo", "1")
    assert shown[:2] == [
        "trial 1 of demo  complete  val_accuracy 0.8125  25,000 parameters, 4 s, 2,000 images/s, cpu",
        "healthy",
    ]
    assert "  optimizer  adam" in shown
    assert not any("momentum 0.9" in line.split("norm_")[0] for line in shown)  # it has no effect under adam
    assert "  val_accuracy ▂▄▅  0 to 1" in shown
    assert "    2        0.4000     1.000       1.000          0.5000  0.01  1.5 s     2,000" in shown
    assert "initial_loss  pass     0  the first loss is 2.31, ln 10 is 2.303" in shown


def test_show_a_stopped_trial_with_its_remedy(demo: str, capsys: Capture) -> None:
    assert lines(capsys, "show", "demo", "2")[1:3] == [
        "exploded: loss 9.1 at step 30 is over 3 x the first loss 2.31",
        "try: lower lr to 0.5 or less",
    ]


def test_show_an_error_harmlessly(demo: str, capsys: Capture) -> None:
    shown = "\n".join(lines(capsys, "show", "demo", "4"))
    assert "  ValueError: \\x1b[31mno" in shown
    assert "\x1b" not in shown


def test_show_a_trial_under_way(demo: str, capsys: Capture) -> None:
    assert lines(capsys, "show", "demo", "5")[0] == "trial 5 of demo  running  cpu"


def test_show_as_json(demo: str, capsys: Capture) -> None:
    trial = json.loads("\n".join(lines(capsys, "show", "demo", "0", "--json")))
    assert (trial["state"], trial["value"], len(trial["curve"])) == ("complete", 0.71, 3)
    assert trial["configuration"]["momentum"] == 0.9
    assert trial["attempts"][0]["worker"] == "host:1:w"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["show", "demo", "99"], "error: study demo has no trial 99: its trials are 0 to 5"),
        (["show", "dmo", "1"], "error: there is no study dmo in this database: did you mean demo?"),
        (["status", "dmo"], "error: there is no study dmo in this database: did you mean demo?"),
        (["query", "SELEC 1"], "error: hpo query only reads"),
        (["query", "DELETE FROM trials"], "error: hpo query only reads"),
        (["query", "SELECT :n"], "error: the query has parameters without a value: give --param n=..."),
        (["query", "SELECT lrr FROM results"], "error: no such column: lrr (did you mean lr"),
    ],
)
def test_mistakes_are_said_in_words(demo: str, command: list[str], message: str, capsys: Capture) -> None:
    assert run_command(command) == 2
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(
    "command", [["status"], ["show", "s", "1"], ["query", "SELECT 1"], ["dashboard"]], ids=lambda c: str(c[0])
)
def test_a_database_that_does_not_exist_is_not_made(
    command: list[str], tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "none.db"
    assert run_command([*command, "--storage", f"sqlite:///{path}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: there is no database {path}")
    assert list(tmp_path.iterdir()) == []


def test_studies_are_listed_and_printed(capsys: Capture) -> None:
    assert any(
        line.startswith("quickstart") and "12" in line for line in lines(capsys, "studies", "--bundled")
    )
    assert run_command(["studies", "quickstart"]) == 0
    assert capsys.readouterr().out == bundled_text("quickstart")
    assert run_command(["studies", "quikstart"]) == 2
    assert "did you mean quickstart?" in capsys.readouterr().err


def test_schema_is_printed_and_written(tmp_path: Path, capsys: Capture) -> None:
    assert "\n".join(lines(capsys, "schema")) + "\n" == schema_text()
    assert run_command(["schema", "-o", str(tmp_path / "s.json")]) == 0
    assert (tmp_path / "s.json").read_text() == schema_text()
