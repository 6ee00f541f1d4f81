"""Machines whose clocks differ by ten minutes: the database's clock is the only one that leases know.

SQLite has no clock but that of its machine, which all its workers share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.killable_workers import LONG, KillableWorkers, attempts, everything, rows, submit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.usefixtures("same_settings"),
    pytest.mark.parametrize("storage_url", ["postgresql"], indirect=True),
]
TEN_MINUTES = 600.0
SHORT_LEASE: Any = {"HPO_LEASE_SECONDS": "5"}
Undisturbed = Callable[[int], dict[str, list[Any]]]


@pytest.mark.parametrize("ahead", [TEN_MINUTES, -TEN_MINUTES])
def test_workers_with_different_clocks_hold_their_slots(
    killable: KillableWorkers, storage_url: str, undisturbed: Undisturbed, ahead: float
) -> None:
    training = submit(storage_url, "s", 2, **LONG)
    first = killable.start(storage_url, "s", clock_ahead=ahead, **SHORT_LEASE)
    training.wait_for(0, 2)
    # It finds no slot but the second, and then none, for as long as the first is trained.
    second = killable.start(storage_url, "s", clock_ahead=-ahead, **SHORT_LEASE)
    assert [killable.wait(worker) for worker in (first, second)] == ["exit 0", "exit 0"]
    assert (attempts(storage_url, 0), attempts(storage_url, 1)) == (["complete"], ["complete"])
    assert everything(storage_url) == undisturbed(2)
    assert len(rows(storage_url, "SELECT DISTINCT worker FROM attempts")) == 2


@pytest.mark.parametrize("ahead", [TEN_MINUTES, -TEN_MINUTES])
def test_a_lease_runs_out_by_the_databases_clock(
    killable: KillableWorkers, storage_url: str, undisturbed: Undisturbed, ahead: float
) -> None:
    training = submit(storage_url, "s", 1, **LONG)
    frozen = killable.start(storage_url, "s", "trial.epoch:5:STOP", clock_ahead=ahead, **SHORT_LEASE)
    assert killable.wait(frozen) == "stopped"
    other = killable.start(storage_url, "s", clock_ahead=-ahead, **SHORT_LEASE)
    training.wait_for(0, 20)  # not ten minutes later
    killable.wake(frozen)
    assert [killable.wait(worker) for worker in (frozen, other)] == ["exit 0", "exit 0"]
    assert attempts(storage_url) == ["lost", "complete"]
    assert everything(storage_url) == undisturbed(1)
