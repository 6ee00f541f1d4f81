"""The numbers that the dashboard gives to Prometheus, from a database with one of everything."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from hpo.errors import StorageError
from hpo.queue.leases import release
from hpo.queue.worker_registry import WorkerRegistration
from hpo.records import Outcome
from hpo.reporting.prometheus import database_metrics
from hpo.storage.column_types import epoch_now
from hpo.storage.tables import SlotRow
from tests.database.conftest import Bench

DONE = Outcome("complete", value=0.5, verdict="healthy", best_epoch=1)


def _scrape(url: str) -> dict[tuple[str, ...], float]:
    """Each value by its name and label values."""
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(database_metrics(url).decode())
        for sample in family.samples
    }


def test_everything_is_counted_by_study(bench: Bench) -> None:
    study_id = bench.register()
    trial_id, _ = bench.begin(lease := bench.claim(study_id, "a:1:0.00"))
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    for epoch in (1, 2):
        bench.store.record_epoch(lease, trial_id, bench.record(epoch))
    bench.store.finish_trial(lease, trial_id, DONE)
    before = _scrape(bench.store.url)
    assert before["hpo_images_per_second", "first"] == 0

    trial_id, _ = bench.begin(lease := bench.claim(study_id, "b:1:0.00"))
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    release(bench.store, lease)
    lease = bench.claim(study_id, "b:1:0.00")
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)  # the one before is lost
    for epoch, speed in ((1, 40.0), (2, 70.0)):
        bench.store.record_epoch(lease, trial_id, bench.record(epoch, images_per_second=speed))
    WorkerRegistration(bench.store, "c:1:0.00", device="cpu")

    found = _scrape(bench.store.url)
    trials = {key[2]: value for key, value in found.items() if key[0] == "hpo_trials"}
    assert (trials["complete"], trials["running"], trials["pruned"], trials["failed"]) == (1, 1, 0, 0)
    assert trials["waiting"] == before["hpo_trials", "first", "waiting"] - 1
    attempts = {key[2]: value for key, value in found.items() if key[0] == "hpo_attempts_total"}
    assert {each: count for each, count in attempts.items() if count} == {
        "complete": 1,
        "released": 1,
        "lost": 1,
    }
    assert attempts["hung"] == 0
    assert found["hpo_epochs_total", "first"] == 4
    assert found["hpo_best_val_accuracy", "first"] == 0.5
    assert found["hpo_images_per_second", "first"] == 70.0
    assert found["hpo_slots_held", "first"] == 1
    workers = {key[1]: value for key, value in found.items() if key[0] == "hpo_workers"}
    assert workers == {"at_work": 1, "idle": 1, "silent": 0, "dead": 0}

    with bench.store.engine.begin() as connection:
        connection.execute(
            update(SlotRow).where(SlotRow.state == "running").values(lease_until=epoch_now() - 1)
        )
    found = _scrape(bench.store.url)
    assert found["hpo_slots_held", "first"] == 0
    assert found["hpo_workers", "silent"] == 1


def test_a_database_that_hpo_never_wrote_to_has_none(empty_storage_url: str) -> None:
    with pytest.raises(StorageError):
        database_metrics(empty_storage_url)
