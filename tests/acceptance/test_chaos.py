"""Workers that die again and again, each at a random instant of its work: as if nothing had happened."""

from __future__ import annotations

import random
import signal
from typing import Any

import pytest

from tests.helpers.killable_workers import (
    KillableWorkers,
    attempts,
    checkpoints,
    everything,
    hashes,
    rows,
    submit,
)

TRIALS, WORKERS, DEATHS = 6, 3, 12
LONG: dict[str, Any] = {"epochs": 12}
SOMETIMES: Any = {"HPO_CHECKPOINT_SECONDS": "0.2"}
"""Checkpoints, beside those at the ends of epochs."""
KILLED = f"signal {signal.SIGPROF.value}"


@pytest.mark.slow
@pytest.mark.usefixtures("same_settings")
def test_workers_die_at_random_instants(killable: KillableWorkers, storage_url: str, tmp_path: Any) -> None:
    calm = f"sqlite:///{tmp_path / 'calm.db'}"
    submit(calm, "s", TRIALS, **LONG)
    assert killable.wait(killable.start(calm, "s", **SOMETIMES)) == "exit 0"
    # Chance may kill one trial as often as if it killed its workers.
    submit(storage_url, "s", TRIALS, max_deaths=DEATHS, **LONG)
    chance, deaths = random.Random(0), 0

    def start(mortal: bool) -> int:
        dies_after = chance.uniform(0.1, 1.0) if mortal else None
        return killable.start(storage_url, "s", dies_after=dies_after, **SOMETIMES)

    crew = [start(mortal=True) for _ in range(WORKERS)]
    for worker in crew:  # which grows meanwhile
        ended = killable.wait(worker)
        assert ended in ("exit 0", KILLED)
        if ended == KILLED:
            deaths += 1
            crew.append(start(mortal=deaths <= DEATHS - WORKERS))
    assert deaths >= DEATHS // 2
    assert hashes(storage_url) == hashes(calm)
    assert rows(storage_url, "SELECT DISTINCT state FROM hpo_slot") == [("done",)]
    numbers = rows(storage_url, "SELECT number FROM results ORDER BY number")
    assert numbers == [(number,) for number in range(TRIALS)]
    left, expected = everything(storage_url), everything(calm)
    for table in ("findings", "layers"):
        assert set(left[table]) ^ set(expected[table]) == set()
        assert left[table] == expected[table]
    assert len(left["curves"]) == len(set(left["curves"])) == len(expected["curves"])
    assert all(attempts(storage_url, slot)[-1] == "complete" for slot in range(TRIALS))
    assert checkpoints(storage_url) == []
