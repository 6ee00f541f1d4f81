"""What `hpo worker --metrics-port` counts and answers."""

from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hpo.errors import UserError
from hpo.events import (
    DatabaseAway,
    DatabaseBack,
    DatabaseRetried,
    EpochDone,
    Event,
    LeaseLost,
    StudyTaken,
    TrialEnded,
    TrialPaused,
    WorkerLost,
    WorkerReady,
)
from hpo.workers.metrics import WorkerMetrics, metrics_served
from tests.helpers.events import epoch_done

ONE, TWO = "h:1:a", "h:2:b"
ODD = 'a "b"\\c\nd'  # no study of hpo is called so, but labels must bear it


def _epoch(worker: str, speed: float) -> EpochDone:
    return epoch_done(worker, 0, 1, 2, 1.5, 1.4, 0.5, speed)


EVENTS: tuple[Event, ...] = (
    WorkerReady(ONE, "cpu", 1, ()),
    WorkerReady(TWO, "cpu", 1, ()),
    StudyTaken(ONE, "first"),
    StudyTaken(TWO, ODD),
    _epoch(ONE, 1000.0),
    _epoch(ONE, 1100.0),
    _epoch(TWO, 2000.5),
    TrialEnded(ONE, 0, "complete", 0.5, "healthy", 2.0),
    TrialEnded(ONE, 1, "pruned", None, "exploded", 2.0),
    TrialPaused(ONE, 2, "4 of 9"),
    DatabaseRetried(TWO),
    DatabaseRetried(ONE),
    DatabaseAway(ONE),
    LeaseLost(ONE, 3),
)


def _scrape(address: str) -> dict[tuple[str, ...], float]:
    """Each value by its name and label values."""
    with urlopen(address, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = answer.read().decode()
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_events_are_counted_and_can_be_scraped() -> None:
    metrics = WorkerMetrics()
    with metrics_served(metrics, "127.0.0.1", 0) as address:
        assert _scrape(address)["hpo_worker_processes",] == 0
        for event in EVENTS:
            metrics.count(event)
        found = _scrape(address)
        trials = {key[1:]: value for key, value in found.items() if key[0] == "hpo_worker_trials_total"}
        assert trials == {
            ("first", "complete"): 1, ("first", "pruned"): 1, ("first", "failed"): 0, ("first", "paused"): 1,
            (ODD, "complete"): 0, (ODD, "pruned"): 0, (ODD, "failed"): 0, (ODD, "paused"): 0,
        }  # fmt: skip
        assert {key: value for key, value in found.items() if key[0] != "hpo_worker_trials_total"} == {
            ("hpo_worker_epochs_total", "first"): 2,
            ("hpo_worker_epochs_total", ODD): 1,
            ("hpo_worker_lease_losses_total", "first"): 1,
            ("hpo_worker_database_retries_total",): 2,
            ("hpo_worker_processes_lost_total",): 0,
            ("hpo_worker_database_away",): 1,
            ("hpo_worker_processes",): 2,
            ("hpo_worker_images_per_second",): 2000.5,  # the first has no trial any more
        }
        metrics.count(WorkerLost(TWO, "died"))
        metrics.count(DatabaseBack(ONE))
        found = _scrape(address)
    assert found["hpo_worker_processes",] == 1 and found["hpo_worker_processes_lost_total",] == 1
    assert found["hpo_worker_images_per_second",] == 0 and found["hpo_worker_database_away",] == 0
    assert found["hpo_worker_epochs_total", ODD] == 1  # what was done stays done


def test_a_port_in_use_is_named_and_a_closed_one_is_free_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"),
            metrics_served(WorkerMetrics(), "127.0.0.1", port),
        ):
            pass
    for _ in range(2):
        with metrics_served(WorkerMetrics(), "127.0.0.1", port) as address:
            assert address == f"http://127.0.0.1:{port}/metrics"


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match="cannot listen on"), metrics_served(WorkerMetrics(), "192.0.2.1", 0):
        pass
