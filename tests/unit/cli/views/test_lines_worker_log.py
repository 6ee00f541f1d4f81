"""The log of `hpo worker`."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from typing import Any, get_args

from hpo.cli.views.events import describe
from hpo.cli.views.lines import WorkerLog
from hpo.events import (
    Event,
    FindingMade,
    StudySkipped,
    StudyTaken,
    TrialEnded,
    TrialStarted,
    WorkerLost,
    WorkerReady,
)
from hpo.workers.service import ServiceSummary
from tests.helpers.events import epoch_done

EVENTS: list[Event] = [
    WorkerReady("h:1:a", "cuda:0", 2, ("a100", "gpu")),
    WorkerReady("h:2:b", "cpu", 1, ()),
    StudyTaken("h:1:a", "one"),
    TrialStarted("h:1:a", 3, 3, {"lr": 0.1}, 2),
    StudyTaken("h:2:b", "two"),
    epoch_done("h:2:b", 0, 1, 2, 1.5, math.nan, 0.45, 2100.4),
    FindingMade("h:1:a", 3, "warn", "dead_units", "half of conv1 is dead"),
    TrialEnded("h:1:a", 3, "complete", 0.55, "healthy", 4.0),
    StudySkipped("h:1:a", "three", "no images at postgresql://ada:secret@db/x\nput them there"),
    WorkerLost("h:2:b", "worker-2 died (exit code 1)"),
]
SUMMARY = ServiceSummary(1, 61.0, {"three": "no images"}, [])


def _clock() -> datetime:
    return datetime(2026, 11, 29, 12, 0, 5, 250_000, UTC)


def _written(*, as_json: bool) -> list[str]:
    stream = io.StringIO()
    log = WorkerLog(stream, as_json=as_json, clock=_clock)
    for event in EVENTS:
        log.show(event)
    log.end(SUMMARY)
    return stream.getvalue().splitlines()


def test_worker_log_writes_lines_of_text() -> None:
    at = "2026-11-29 12:00:05"
    assert _written(as_json=False) == [
        f"{at}  info  h:1:a  ready on cuda:0 with 2 threads, tags a100, gpu",
        f"{at}  info  h:2:b  ready on cpu with 1 thread",
        f"{at}  info  one  h:1:a  switches to this study",
        f"{at}  info  one  trial 3  h:1:a  starts: 2 epochs, lr 0.1",
        f"{at}  info  two  h:2:b  switches to this study",
        f"{at}  info  two  trial 0  h:2:b  epoch 1/2  val_accuracy 0.4500  "
        "val_loss nan  train_loss 1.500  2,100 images/s",
        f"{at}  info  one  trial 3  h:1:a  warn dead_units: half of conv1 is dead",
        f"{at}  info  one  trial 3  h:1:a  complete  val_accuracy 0.5500  healthy",
        f"{at}  warning  three  h:1:a  skipped: no images at postgresql://ada:***@db/x",
        "  put them there",
        f"{at}  warning  two  h:2:b  worker-2 died (exit code 1)",
        f"{at}  warning  ended after 1 min 01 s; not served: three",
    ]


def test_worker_log_names_study_trial_and_worker_in_each_json_line() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in _written(as_json=True)]
    assert len(lines) == len(EVENTS) + 1
    assert all(line.keys() >= {"time", "level", "event", "study", "trial", "worker"} for line in lines)
    assert {line["time"] for line in lines} == {"2026-11-29T12:00:05.250+00:00"}
    epoch = lines[5]
    assert (epoch["event"], epoch["study"], epoch["trial"], epoch["worker"]) == (
        "epoch_done",
        "two",
        0,
        "h:2:b",
    )
    assert (epoch["val_loss"], epoch["val_accuracy"]) == (None, 0.45)
    skipped = lines[8]
    assert (skipped["level"], skipped["study"], skipped["trial"]) == ("warning", "three", None)
    assert "secret" not in json.dumps(lines)
    assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("ended", 1)


def test_describe_knows_every_event() -> None:
    assert set(describe.registry) - {object} == set(get_args(Event))


def test_worker_log_ends_with_the_most_frequent_error() -> None:
    stream = io.StringIO()
    log = WorkerLog(stream, as_json=False, clock=_clock)
    log.end(ServiceSummary(3, 61.0, {}, [], 3, "error: ValueError: no (`hpo show one 4`)"))
    assert stream.getvalue() == (
        "2026-11-29 12:00:05  warning  ended after 1 min 01 s; 3 trials failed, most often: "
        "error: ValueError: no (`hpo show one 4`)\n"
    )
