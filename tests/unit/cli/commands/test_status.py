"""`hpo status`, on a database with a trial of each kind."""

from __future__ import annotations

from tests.helpers.command_output import Capture, error_text, output_json, output_lines


def test_status_without_a_study_lists_all(demo: str, capsys: Capture) -> None:
    heading, row = output_lines(capsys, "status")
    names = ["study", "done", "best", "running", "complete", "pruned", "failed", "waiting", "data"]
    assert heading.split()[:9] == names
    assert row.split()[:9] == ["demo", "5/6", "0.8125", "1", "2", "2", "1", "0", "synthetic"]


def test_status_of_a_study_shows_workers_leaderboard_and_problems(demo: str, capsys: Capture) -> None:
    shown = output_lines(capsys, "status", "demo")
    assert [line.split()[:3] for line in shown if line.startswith("host")] == [["host:1:w", "5", "0"]]
    start = next(i for i, line in enumerate(shown) if line.startswith("rank"))
    assert [line.split() for line in shown[start : start + 3]] == [
        ["rank", "trial", "val_accuracy", "lr", "optimizer", "momentum", "best", "epoch", "time"],
        ["1", "1", "0.8125", "0.01", "adam", "–", "2", "4", "s"],
        ["2", "0", "0.7100", "0.05", "sgd", "0.9", "3", "4", "s"],
    ]
    assert shown[-3:] == [
        "problems",
        "  exploded: 2 trials, lr 2 to 5 (number 2, 3)",
        "  error: 1 trial, lr 0.02 (number 4)",
    ]


def test_status_json_lists_all_studies(demo: str, capsys: Capture) -> None:
    studies = output_json(capsys, "status")
    assert [(each["name"], each["done"], each["trials"]) for each in studies] == [("demo", 5, 6)]


def test_status_json_has_leaderboard_and_problems_of_a_study(demo: str, capsys: Capture) -> None:
    study = output_json(capsys, "status", "demo")
    assert (study["best_number"], study["best_value"]) == (1, 0.8125)
    assert study["leaderboard"][0]["searched"] == {"lr": 0.01, "optimizer": "adam", "momentum": None}
    assert study["unwell"][0] == {
        "cause": "exploding_loss", "label": "exploded", "numbers": [2, 3],
        "lowest_lr": 2.0, "highest_lr": 5.0,
    }  # fmt: skip


def test_status_unknown_study_suggests_a_name(demo: str, capsys: Capture) -> None:
    message = "error: there is no study dmo in this database: did you mean demo?"
    assert error_text(capsys, "status", "dmo").startswith(message)
