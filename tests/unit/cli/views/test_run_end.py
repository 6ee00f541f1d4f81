"""A run from its events to its last line, with scripted events over a database as they left it."""

from __future__ import annotations

import json
import sys

import pytest

from hpo.cli.views.run import Runner, run_as_json, run_for_people
from hpo.errors import StorageError
from hpo.events import Event, RunSummary, StudyReady, TrialEnded, TrialStarted
from hpo.queries.stages import StagesStatus, StageStatus

EVENTS: list[Event] = [
    StudyReady("demo", "synthetic", "ten drawn classes", 4, 6, 1, 2, "cpu", "fp32"),
    TrialStarted("a", 4, 4, {"lr": 0.02, "optimizer": "adam"}, 3),
    TrialEnded("a", 4, "failed", None, "error: ValueError: no", 2.0),
]


def summary(finished: int, *, interrupted: bool = False) -> RunSummary:
    return RunSummary("demo", finished, 6, interrupted, 65.0, 130 if interrupted else 0)


def shown(url: str, result: RunSummary, capsys: pytest.CaptureFixture[str]) -> list[str]:
    def runner(on_event: object) -> RunSummary:
        assert callable(on_event)
        for event in EVENTS:
            on_event(event)
        return result

    assert run_for_people(runner, url) == result
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_the_end_of_a_study(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(demo, summary(6), capsys)
    assert lines[:4] == [
        "demo  6 trials, 1 worker with 2 threads each on cpu, fp32",
        "ten drawn classes",
        "goes on: 4 trials are done, 2 left",
        # complete 2 + pruned 2 + failed 1 of the database, and the one that has just ended again
        "trial 4  failed  error: ValueError: no  [6 of 6 trials]",
    ]
    assert lines[5] == "demo  all 6 trials are done  (1 min 05 s)"
    assert lines[7].split()[:3] == ["rank", "trial", "val_accuracy"]
    assert lines[11:15] == [
        "best  trial 1, val_accuracy 0.8125",
        "  lr         0.01",
        "  optimizer  adam",
        "  all its settings: hpo show demo 1",
    ]
    assert lines[16:] == [
        "problems",
        "  exploded: 2 trials, lr 2 to 5 (number 2, 3)",
        "  error: 1 trial, lr 0.02 (number 4)",
        "",
        "next",
        "  hpo dashboard   curves in a browser",
        "  hpo report demo   all of it as a page to send",
        "  hpo query \"SELECT number, value, verdict, lr FROM results WHERE study = 'demo'\""
        "   every trial by SQL",
    ]


def test_another_storage_is_named_in_the_next_commands(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = demo.replace("demo.db", "./demo.db")
    lines = shown(other, summary(6), capsys)
    assert f"  hpo dashboard --storage {other}   curves in a browser" in lines


def test_after_ctrl_c_it_says_what_is_kept_and_how_to_go_on(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/hpo", "run", "my study.yaml", "--set", "lr={log: [1, 2]}"])
    lines = shown(demo, summary(5, interrupted=True), capsys)
    assert (
        lines[5]
        == "stopped: 5 of 6 trials of demo are done and kept; what was running will be taken up again"
    )
    assert lines[-2:] == [
        "next",
        "  hpo run 'my study.yaml' --set 'lr={log: [1, 2]}'   goes on with the rest",
    ]


NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""A port on which nobody listens."""


def runs(result: RunSummary) -> Runner:
    return lambda on_event: result


def test_a_run_that_was_stopped_while_the_database_was_away_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hpo", "run", "demo"])
    run_for_people(runs(summary(5, interrupted=True)), NOWHERE)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "stopped: 5 of 6 trials of demo are done and kept; what was running will be taken up again",
        "the database does not answer: `hpo status` shows the trials when it does",
        "",
        "next",
        "  hpo run demo   goes on with the rest",
    ]
    run_as_json(runs(summary(5, interrupted=True)), NOWHERE)
    (last,) = capsys.readouterr().out.splitlines()
    assert json.loads(last)["finished"] == 5 and "best" not in json.loads(last)


def test_a_run_that_was_not_stopped_needs_the_database_at_its_end() -> None:
    for run in (run_for_people, run_as_json):
        with pytest.raises(StorageError, match="nothing listens there"):
            run(runs(summary(6)), NOWHERE)


def test_a_study_that_ended_before_its_last_stage_says_so(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = tuple(
        StageStatus(name, "search", trials, trials, None, 1, 10, 10 * trials)
        for name, trials in (("coarse", 6), ("fine", 0))
    )
    found = StagesStatus(stages, (), (), ())
    monkeypatch.setattr("hpo.cli.views.run_end.stages_status", lambda *_: found)
    lines = shown(demo, summary(6), capsys)
    assert lines[5] == "demo  ended before its stage fine, after 6 trials  (1 min 05 s)"


def test_a_password_is_not_repeated_in_the_command_to_go_on_with(
    demo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hpo", "run", "demo", "--storage=postgresql://me:secret@host/db"])
    lines = shown(demo, summary(5, interrupted=True), capsys)
    assert "'--storage=postgresql://me:***@host/db'" in lines[-1]


def test_json_ends_with_the_summary(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    def runner(on_event: object) -> RunSummary:
        assert callable(on_event)
        for event in EVENTS:
            on_event(event)
        return summary(6)

    run_as_json(runner, demo)
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in objects] == ["study_ready", "trial_started", "trial_ended", "summary"]
    last = objects[-1]
    assert (last["finished"], last["best"]["number"], last["best"]["value"]) == (6, 1, 0.8125)
    assert [leader["number"] for leader in last["leaderboard"]] == [1, 0]
    assert last["unwell"][0]["label"] == "exploded"
