"""The same study with one worker and with eight, killed and restarted: the same configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.search.samplers.registry import sample_slot
from hpo.storage.tables import SlotRow, TrialRow
from tests import helpers
from tests.database.conftest import Bench
from tests.helpers import forked

TRIALS = 16
SPACES: dict[str, dict[str, Any]] = {
    "random": {
        "lr": {"log": [1e-4, 1.0]},
        "optimizer": {"choice": ["sgd", "adam"]},
        "momentum": {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}},
    },
    "grid": {"lr": {"choice": [0.01, 0.1]}, "activation": {"choice": ["relu", "tanh", "elu"]}},
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sampler", ["random", "sobol", "grid"])
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_any_crew_tries_the_same_configurations(bench: Bench, sampler: str) -> None:
    changes: dict[str, Any] = {
        "space": SPACES["grid" if sampler == "grid" else "random"],
        "sampler": sampler,
        "trials": TRIALS,
    }
    wanted = {slot: sample_slot(bench.spec(**changes), slot) for slot in range(TRIALS)}
    for name, workers in (("one", 1), ("two", 2), ("eight", 8)):
        study_id = bench.register(name, **changes)
        # Each is killed once, in its second trial; then as many go on.
        assert _crew(bench.store.url, name, workers, dies_at=2) == [-9] * workers
        assert _crew(bench.store.url, name, workers, dies_at=0) == [0] * workers
        slots = bench.rows(SlotRow, study_id=study_id)
        assert [row.state for row in slots] == ["done"] * TRIALS
        trials = bench.rows(TrialRow, study_id=study_id)
        assert len(trials) == len({row.slot for row in trials}) == TRIALS
        for row in trials:
            tried = {name: row.configuration[name] for name in wanted[row.slot]}
            assert tried == wanted[row.slot]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_eight_learning_workers_share_no_configuration_of_a_finite_space(bench: Bench) -> None:
    space = {"depth": {"int": [1, 8]}, "width": {"int": [1, 8]}}
    study_id = bench.register("s", space=space, sampler={"tpe": {"startup": 5}}, trials=TRIALS)
    assert _crew(bench.store.url, "s", 8, dies_at=0) == [0] * 8
    tried = [
        json.dumps([row.configuration[name] for name in space])
        for row in bench.rows(TrialRow, study_id=study_id)
    ]
    assert len(tried) == TRIALS
    # A draw that must be accepted after others began twice meanwhile may be one of theirs.
    assert len(set(tried)) >= TRIALS - 2


def _crew(url: str, study: str, workers: int, dies_at: int) -> list[int]:
    """Run so many processes at once; their exit codes."""
    script = str(Path(helpers.__file__).with_name("searching_processes.py"))
    done = forked.run([script, url, study, str(workers), str(dies_at)])
    assert done.returncode == 0, done.stderr
    codes: list[int] = json.loads(done.stdout)
    return codes
