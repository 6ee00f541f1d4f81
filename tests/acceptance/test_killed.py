"""Workers killed, paused and stopped at every boundary of a trial's life: as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from sqlalchemy import text

from hpo.artifacts import store as kept
from hpo.storage.engine import writing
from hpo.storage.store import ResultsStore
from hpo.testing.faults import POINTS
from tests.helpers.killable_workers import (
    KillableWorkers,
    attempts,
    checkpoints,
    expect_one_whole_trial,
    hashes,
    rows,
    submit,
)

pytestmark = pytest.mark.usefixtures("same_settings")
SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
DECIDING = tuple(point for point in POINTS if point.startswith(("trial.judge", "trial.pause")))
"""Only a study with a pruner comes there."""
DYING = [point for point in POINTS if not point.startswith(("worker.release", "worker.advance", *DECIDING))]
LATER = [
    *("trial.epoch:2", "trial.epoch_stored:2"),
    # Each checkpoint writes two files; there is one after each of 16 steps, and at the end of each epoch.
    *(
        f"checkpoint.{boundary}:{count}"
        for boundary in ("write", "fsync", "replace")
        for count in (6, 17, 18, 23)
    ),
    *(f"checkpoint.replaced:{count}" for count in (3, 9, 12)),
]
"""Within the first epoch, at its end, and within the second."""
SOME = {"worker.claimed", "trial.epoch_stored", "checkpoint.replace", "trial.finish"}
"""Points whose tests are not slow: a claim, an epoch and a checkpoint half written, an end."""
NEVER_BEGUN = ("worker.claim", "worker.claimed", "trial.begin", "trial.drawn")


def expect_its_weights(url: str, token: int) -> None:
    """Those of the attempt that ended the trial, and nothing that another left."""
    uid = rows(url, "SELECT uid FROM hpo_study")[0][0]
    (entry,) = kept.trial_folders(uid)
    assert (entry.path.name, entry.token) == (f"trial-0-{token}", token)
    assert kept.load(entry.path).document["best_epoch"]["epoch"] in (1, 2)


def _kill_and_go_on(killable: KillableWorkers, url: str, fault: str, calm: list[str]) -> None:
    submit(url, "s")
    assert killable.run(url, "s", fault) == "signal 9"
    assert killable.run(url, "s") == "exit 0"
    assert hashes(url) == calm
    expect_one_whole_trial(url)
    assert checkpoints(url) == []
    point = fault.split(":")[0]
    once = point in NEVER_BEGUN or point == "trial.finished"
    assert attempts(url) == (["complete"] if once else ["lost", "complete"])
    expect_its_weights(url, token=1 if point in ("worker.claim", "trial.finished") else 2)


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in SOME else pytest.mark.slow) for point in DYING]
)
def test_a_worker_killed_at_a_boundary(
    killable: KillableWorkers, storage_url: str, point: str, calm: Any
) -> None:
    _kill_and_go_on(killable, storage_url, f"{point}:1", calm(1))


@pytest.mark.slow
@pytest.mark.parametrize("fault", LATER)
def test_a_worker_killed_at_a_later_pass(
    killable: KillableWorkers, storage_url: str, fault: str, calm: Any
) -> None:
    _kill_and_go_on(killable, storage_url, fault, calm(1))


@SQLITE
def test_two_workers_killed_before_they_record_what_is_in_a_checkpoint(
    killable: KillableWorkers, storage_url: str, calm: Any
) -> None:
    """The second goes on from the checkpoint of an epoch that the first did not record, nor does it."""
    submit(storage_url, "s")
    assert [killable.run(storage_url, "s", "trial.epoch:1") for _ in range(2)] == ["signal 9"] * 2
    assert killable.run(storage_url, "s") == "exit 0"
    assert hashes(storage_url) == calm(1)
    expect_one_whole_trial(storage_url)
    assert attempts(storage_url) == ["lost", "lost", "complete"]


@SQLITE
def test_a_worker_asked_to_stop_within_an_epoch(
    killable: KillableWorkers, storage_url: str, calm: Any
) -> None:
    submit(storage_url, "s")
    assert killable.run(storage_url, "s", "checkpoint.write:5:TERM") == "exit 143"
    assert rows(storage_url, "SELECT state, epoch FROM hpo_slot") == [("waiting", 0)]
    newest = json.loads(max(checkpoints(storage_url)[1:], key=lambda p: (p.suffix == ".json", p)).read_text())
    assert newest["trial"]["epoch"] == 1 and newest["trial"]["steps"] >= 2
    assert killable.run(storage_url, "s", "trial.epoch_stored:1:INT") == "exit 130"
    assert killable.run(storage_url, "s") == "exit 0"
    assert hashes(storage_url) == calm(1)
    expect_one_whole_trial(storage_url)
    assert attempts(storage_url) == ["released", "released", "complete"]


def test_a_worker_paused_past_its_lease_continues_with_the_next_slot(
    killable: KillableWorkers, storage_url: str, calm: Any
) -> None:
    submit(storage_url, "s", 2)
    paused = killable.start(storage_url, "s", "trial.epoch:1:STOP")
    assert killable.wait(paused) == "stopped"
    with ResultsStore(storage_url) as store, writing(store.engine) as connection:
        connection.execute(text("UPDATE hpo_slot SET lease_until = 1 WHERE slot = 0"))
    other = killable.start(storage_url, "s", "worker.claim:2:STOP")
    assert killable.wait(other) == "stopped"
    os.kill(paused, signal.SIGCONT)
    assert killable.wait(paused) == "exit 0"
    os.kill(other, signal.SIGCONT)
    assert killable.wait(other) == "exit 0"
    assert hashes(storage_url) == calm(2)
    assert (attempts(storage_url, 0), attempts(storage_url, 1)) == (["lost", "complete"], ["complete"])
    pids = rows(storage_url, "SELECT pid FROM hpo_attempt ORDER BY started_at")
    assert pids == [(paused,), (other,), (paused,)]


@SQLITE
def test_a_trial_that_kills_its_workers_is_given_up(killable: KillableWorkers, storage_url: str) -> None:
    submit(storage_url, "s", 2, {"width": {"choice": [4, 5]}}, model="poison:build", lr=0.001)
    assert [killable.run(storage_url, "s") for _ in range(3)] == ["signal 9"] * 3
    assert killable.run(storage_url, "s") == "exit 0"
    (first, second) = rows(storage_url, "SELECT state, verdict FROM results ORDER BY slot")
    assert first == ("failed", "given up: 3 workers in a row died or hung in epoch 1 of this trial")
    assert second[0] == "complete"
    assert attempts(storage_url) == ["lost", "lost", "lost", "failed"]


@pytest.mark.slow
@SQLITE
def test_a_killed_trial_on_gray_images_of_another_shape_is_resumed(
    killable: KillableWorkers, storage_url: str
) -> None:
    other: dict[str, Any] = {"image_size": "16x24", "channels": "1", "resize": "pad"}
    for name in ("calm", "s"):
        submit(storage_url, name, **other)
    assert killable.run(storage_url, "calm") == "exit 0"
    assert killable.run(storage_url, "s", "checkpoint.replaced:3") == "signal 9"
    assert killable.run(storage_url, "s") == "exit 0"
    calm, killed = hashes(storage_url)
    assert calm == killed
    assert rows(storage_url, "SELECT DISTINCT image_height, image_width, image_channels FROM hpo_study") == [
        (16, 24, 1)
    ]
