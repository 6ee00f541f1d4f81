"""The output of a run, for scripted events over a database with their results."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.cli.views import run_end
from hpo.cli.views.run import JsonRunView, RunView
from hpo.errors import StorageError
from hpo.events import Event, RunSummary, StudyReady, TrialEnded, TrialStarted
from hpo.queries.stages import StagesStatus, StageStatus
from hpo.storage.store import ResultsStore
from hpo.workers.submit import submit_study
from tests.helpers import own_training

EVENTS: list[Event] = [
    StudyReady("demo", "synthetic", "ten drawn classes", 4, 6, 1, 2, "cpu", "fp32"),
    TrialStarted("a", 4, 4, {"lr": 0.02, "optimizer": "adam"}, 3),
    TrialEnded("a", 4, "failed", None, "error: ValueError: no", 2.0),
]


def summary(finished: int, *, interrupted: bool = False) -> RunSummary:
    return RunSummary("demo", finished, 6, interrupted, 65.0, 130 if interrupted else 0)


def show(view: RunView | JsonRunView, result: RunSummary, events: list[Event] | None = None) -> None:
    with view:
        for event in EVENTS if events is None else events:
            view.show(event)
    view.print_summary(result)


def shown(url: str, result: RunSummary, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(RunView(url), result)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_run_view_prints_the_summary_of_a_study(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(demo, summary(6), capsys)
    assert lines[:4] == [
        "demo  6 trials, 1 worker with 2 threads each on cpu, fp32",
        "ten drawn classes",
        "resuming: 4 trials done, 2 left",
        # complete 2 + pruned 2 + failed 1 of the database, and the one that has just ended again
        "trial 4  failed  error: ValueError: no  [6 of 6 trials]",
    ]
    assert lines[5] == "demo  all 6 trials are done  (1 min 05 s)"
    assert lines[7].split()[:3] == ["rank", "trial", "val_accuracy"]
    assert lines[11:15] == [
        "best  trial 1, val_accuracy 0.8125",
        "  lr         0.01",
        "  optimizer  adam",
        "  details: hpo show demo 1",
    ]
    assert lines[16:] == [
        "problems",
        "  exploded: 2 trials, lr 2 to 5 (number 2, 3)",
        "  error: 1 trial, lr 0.02 (number 4)",
        "",
        "next",
        "  hpo dashboard   curves in a browser",
        "  hpo report demo   everything on one page, to share",
        "  hpo query \"SELECT number, value, verdict, lr FROM results WHERE study = 'demo'\""
        "   all trials with SQL",
        "",
        "1 trial failed  error: ValueError: \\x1b[31mno",
        "  hpo show demo 4   its traceback",
    ]


def test_next_commands_name_a_storage_that_is_not_the_default(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = demo.replace("demo.db", "./demo.db")
    lines = shown(other, summary(6), capsys)
    assert f"  hpo dashboard --storage {other}   curves in a browser" in lines


def test_next_query_of_your_own_training_has_its_parameters(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    with ResultsStore(url) as store:
        submit_study(store, own_training.spec("mine", ["sound"]))
        commands = run_end._next_commands(store.engine, "mine", url)
    (query,) = (each for each in commands if each.startswith("hpo query"))
    assert "verdict, configuration FROM results WHERE study = 'mine'" in query


def test_summary_after_ctrl_c_shows_how_to_resume(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/hpo", "run", "my study.yaml", "--set", "lr={log: [1, 2]}"])
    lines = shown(demo, summary(5, interrupted=True), capsys)
    assert lines[5] == "stopped: 5 of 6 trials of demo are done; run it again to resume the others"
    assert lines[-2:] == [
        "next",
        "  hpo run 'my study.yaml' --set 'lr={log: [1, 2]}'   resumes the study",
    ]


def test_summary_of_a_stopped_study_of_one_trial_says_is(
    demo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(demo, replace(summary(0, interrupted=True), total=1), capsys)
    assert lines[5] == "stopped: 0 of 1 trial of demo is done; run it again to resume the others"


NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""A port on which nobody listens."""


def test_run_view_prints_a_summary_without_database_after_a_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hpo", "run", "demo"])
    show(RunView(NOWHERE), summary(5, interrupted=True), [])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "stopped: 5 of 6 trials of demo are done; run it again to resume the others",
        "the database does not answer: `hpo status` will show the trials when it does",
        "",
        "next",
        "  hpo run demo   resumes the study",
    ]


def test_json_view_writes_a_summary_without_database_after_a_signal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(JsonRunView(NOWHERE), summary(5, interrupted=True), [])
    (last,) = capsys.readouterr().out.splitlines()
    assert json.loads(last)["finished"] == 5 and "best" not in json.loads(last)


@pytest.mark.parametrize("kind", [RunView, JsonRunView])
def test_view_of_an_uninterrupted_run_needs_the_database(kind: type[RunView | JsonRunView]) -> None:
    with pytest.raises(StorageError, match="connection refused: is PostgreSQL running"):
        show(kind(NOWHERE), summary(6), [])


def test_summary_names_the_stage_before_which_a_study_ended(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = tuple(
        StageStatus(name, "search", trials, trials, None, 1, 10, 10 * trials)
        for name, trials in (("coarse", 6), ("fine", 0))
    )
    found = StagesStatus(stages, (), (), ())
    monkeypatch.setattr("hpo.cli.views.run_end.stages_status", lambda *_: found)
    lines = shown(demo, summary(6), capsys)
    assert lines[5] == "demo  ended before stage fine, after 6 trials  (1 min 05 s)"


def test_command_to_resume_has_no_password(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hpo", "run", "demo", "--storage=postgresql://me:secret@host/db"])
    lines = shown(demo, summary(5, interrupted=True), capsys)
    assert "'--storage=postgresql://me:***@host/db'" in lines[-1]


def test_json_view_ends_with_the_summary(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(JsonRunView(demo), summary(6))
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in objects] == ["study_ready", "trial_started", "trial_ended", "summary"]
    last = objects[-1]
    assert (last["finished"], last["best"]["number"], last["best"]["value"]) == (6, 1, 0.8125)
    assert [leader["number"] for leader in last["leaderboard"]] == [1, 0]
    assert last["unwell"][0]["label"] == "exploded"


def test_json_summary_names_the_most_frequent_failure(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(JsonRunView(demo), summary(6), [])
    last = json.loads(capsys.readouterr().out)
    assert last["most_frequent_failure"] == {
        "state": "failed", "trials": 1, "verdict": "error: ValueError: \x1b[31mno", "of_verdict": 1,
        "number": 4,
    }  # fmt: skip
