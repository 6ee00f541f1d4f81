from __future__ import annotations

import io
import json
import math

from hpo.cli.views.lines import JsonLines, Lines
from hpo.cli.views.progress import RunProgress
from hpo.events import (
    DatabaseAway,
    DatabaseBack,
    Event,
    RunSummary,
    StudyReady,
    TrialEnded,
    TrialPaused,
    TrialStarted,
    WorkerLost,
)
from tests.helpers.events import epoch_done

EVENTS: list[Event] = [
    StudyReady(
        "demo",
        "synthetic",
        "ten drawn classes",
        1,
        3,
        1,
        2,
        "cpu",
        "bf16",
        reclaimed=1,
        warnings=("1 file is left out",),
    ),
    TrialStarted("a", 1, 1, {"lr": 0.1}, 2),
    epoch_done("a", 1, 1, 2, 1.5, 1.6, 0.45, 2100.4),
    epoch_done("a", 1, 2, 2, 1.2, math.nan, 0.55, 2100.4),
    TrialEnded("a", 1, "complete", 0.55, "healthy", 4.0),
    TrialStarted("a", 2, 2, {"lr": 9.0}, 2),
    TrialPaused("a", 2, "rank 2 of 2 at epoch 1"),
    TrialEnded("a", 2, "pruned", None, "exploded: \x1b[2Jloss 9", 2.0),
    WorkerLost("a", "a died (exit code 1)"),
]


def test_lines_show_a_run_as_text() -> None:
    stream = io.StringIO()
    progress = RunProgress(clock=lambda: 0.0)
    progress.start_from({"complete": 1}, (0.5, 0))
    lines = Lines(stream, progress)
    for event in EVENTS:
        lines.show(event)
    assert stream.getvalue().splitlines() == [
        "demo  3 trials, 1 worker with 2 threads each on cpu, bf16",
        "ten drawn classes",
        "resuming: 1 trial done, 2 left",
        "reclaimed 1 trial from workers that died",
        "warning: 1 file is left out",
        "trial 1  epoch 1/2  val_accuracy 0.4500  val_loss 1.600  train_loss 1.500  2,100 images/s",
        "trial 1  complete  val_accuracy 0.5500  healthy  [2 of 3 trials, about 4 s left]",
        "trial 2  paused  rank 2 of 2 at epoch 1",
        "trial 2  pruned  exploded: \\x1b[2Jloss 9  [3 of 3 trials]",
        "a died (exit code 1)",
    ]


def test_lines_report_a_database_that_does_not_answer() -> None:
    stream = io.StringIO()
    lines = Lines(stream, RunProgress(clock=lambda: 0.0))
    for event in (DatabaseAway("a"), DatabaseBack("a")):
        lines.show(event)
    away, back = stream.getvalue().splitlines()
    assert away.startswith("the database does not answer: training continues") and "10 min" in away
    assert back == "the database answers again: nothing was lost"


def test_json_lines_are_valid_json_for_numbers_that_are_not_finite() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    for event in EVENTS:
        lines.show(event)
    lines.write_summary(RunSummary("demo", 3, 3, False, 9.5, 0), best={"number": 1})
    objects = [json.loads(line, parse_constant=_refuse) for line in stream.getvalue().splitlines()]
    assert [each["event"] for each in objects] == [
        "study_ready",
        "trial_started",
        "epoch_done",
        "epoch_done",
        "trial_ended",
        "trial_started",
        "trial_paused",
        "trial_ended",
        "worker_lost",
        "summary",
    ]
    assert objects[3]["val_loss"] is None
    assert objects[1]["configuration"] == {"lr": 0.1}
    assert (objects[-1]["finished"], objects[-1]["best"]) == (3, {"number": 1})


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
