"""Attempts: where a trial's workers died, and what is forgotten when one goes on from an earlier place."""

from __future__ import annotations

import math

import pytest

from hpo.queue.leases import release, release_as_lost
from hpo.records import Finding, LayerStatistics
from hpo.storage import attempts
from hpo.storage.attempts import Deaths
from hpo.storage.engine import writing
from hpo.storage.tables import EPOCHS, FINDINGS, LAYERS, AttemptRow, SlotRow
from tests.database.conftest import Bench


def _dies(bench: Bench, study_id: int, *epochs: int, cause: str = "") -> int:
    """A worker that records these epochs and is then found dead; the trial's id."""
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    for epoch in epochs:
        bench.store.record_epoch(lease, trial_id, bench.record(epoch))
    with writing(bench.store.engine) as connection:
        if cause:
            attempts.store_death(connection, lease.worker, "printed", cause)
        attempts.end(connection, trial_id, "lost")
    release(bench.store, lease)
    return int(trial_id)


def test_deaths_count_at_the_furthest_place_only(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    counted = []
    for epochs in [(), (1,), (), (2, 3), (), (1,)]:
        trial_id = _dies(bench, study_id, *epochs)
        counted.append(bench.store.deaths_in_a_row(trial_id))
    places = [(1, 1), (1, 2), (2, 2), (1, 4), (2, 4), (3, 4)]
    assert counted == [Deaths(count, epoch) for count, epoch in places]


def test_a_worker_that_was_asked_to_stop_did_not_die(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    release(bench.store, lease)
    assert bench.store.deaths_in_a_row(trial_id) == Deaths(0, 1)


def test_deaths_keep_the_last_known_cause_in_their_epoch(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    told = []
    for epochs, cause in [((), "out of memory: 1 GB"), ((), ""), ((1,), ""), ((), "killed by signal 9")]:
        trial_id = _dies(bench, study_id, *epochs, cause=cause)
        told.append(bench.store.deaths_in_a_row(trial_id).cause)
    assert told == ["out of memory: 1 GB", "out of memory: 1 GB", "", "killed by signal 9"]
    outputs = [row.output for row in sorted(bench.rows(AttemptRow), key=lambda row: row.attempt)]
    assert outputs[0] == "printed\nhpo: the worker died: out of memory: 1 GB"


def test_deaths_of_the_training_alone_are_told_apart(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    told = []
    for how in ("was killed by signal SIGKILL", "was killed by signal SIGKILL", ""):
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        release_as_lost(bench.store, lease, attempts.process_died(how) if how else "")
        told.append(bench.store.deaths_in_a_row(trial_id))
    killed = "killed by signal SIGKILL"
    assert told[1] == Deaths(2, 1, killed, (f"was {killed}",))
    assert told[2] == Deaths(3, 1, killed)  # the last worker died without a word


def test_store_death_after_the_trial_ended_does_not_blame_it(bench: Bench) -> None:
    lease = bench.claim(bench.register(trials=1))
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    with writing(bench.store.engine) as connection:
        attempts.end(connection, trial_id, "complete")
        attempts.store_death(connection, lease.worker, "", "killed by signal 9")
    assert bench.rows(AttemptRow)[0].output is None


@pytest.mark.parametrize(
    ("epoch", "step", "epochs", "layers", "findings"),
    [(2, 20, [1, 2], [0, 9, 19], [0, 9, 20]), (1, 12, [1], [0, 9], [0, 9]), (0, -1, [], [], [])],
)
def test_what_lies_beyond_the_place_is_forgotten(
    bench: Bench, epoch: int, step: int, epochs: list[int], layers: list[int], findings: list[int]
) -> None:
    study_id = bench.register(trials=1)
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    store = bench.store
    store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    for each in (1, 2, 3):
        store.record_epoch(lease, trial_id, bench.record(each))
    store.record_layers(
        lease, trial_id, [LayerStatistics("conv", step=each, epoch=1, position=0) for each in (0, 9, 19, 29)]
    )
    store.record_findings(
        lease,
        trial_id,
        [
            Finding("learned", "note", math.nan, math.nan, "said", step=each, epoch=1)
            for each in (0, 9, 20, 30)
        ],
    )
    store.rewind(lease, trial_id, epoch=epoch, step=step)
    assert sorted(row.epoch for row in bench.rows(EPOCHS)) == epochs
    assert sorted(row.step for row in bench.rows(LAYERS)) == layers
    assert sorted(row.step for row in bench.rows(FINDINGS)) == findings
    assert [row.from_epoch for row in bench.rows(AttemptRow)] == [epoch]
    assert [row.epoch for row in bench.rows(SlotRow)] == [epoch]


def test_unrecorded_epochs_of_a_checkpoint_are_listed(bench: Bench) -> None:
    lease = bench.claim(bench.register(trials=1))
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    assert bench.store.rewind(lease, trial_id, epoch=3, step=30) == 1
    assert [row.epoch for row in bench.rows(SlotRow)] == [1]
