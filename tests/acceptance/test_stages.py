"""A search in stages, really trained: from coarse to the test images, killed at its borders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hpo.config.study import StudySpec
from hpo.storage.store import ResultsStore
from hpo.workers.submit import submit_study
from tests.helpers.killable_workers import KillableWorkers

pytestmark = pytest.mark.usefixtures("same_settings")
SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)

STUDY = {
    "study": "s",
    "fixed": {"dataset": "synthetic", "train_images": 400, "batch_size": 5, "width": 8, "depth": 2,
              "epochs": 2, "optimizer": "adam", "augmentation": "none", "precision": "fp32"},
    "space": {"lr": {"log": [2e-3, 1e-2]}, "activation": {"choice": ["relu", "elu"]}},
    "stages": [
        {"name": "coarse", "trials": 6},
        {"name": "fine", "trials": 3, "space": "around", "carry": 1},
        {"name": "confirm", "confirm": {"top": 2, "seeds": 1, "folds": 2}},
    ],
    "trials": 6 + 3 + 4 + 1,
    "checks": "off",
}  # fmt: skip


def _submit(url: str) -> None:
    with ResultsStore(url) as store:
        submit_study(store, StudySpec.model_validate(STUDY))


def _outcome(url: str) -> list[Any]:
    """What each slot trained and came to."""
    sql = "SELECT stage, slot, state, lr, activation, value, test_value, weights_hash FROM results"
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"{sql} ORDER BY stage, slot"))]


@pytest.mark.slow
@SQLITE
def test_stages_killed_at_a_border_end_with_the_same_results(
    killable: KillableWorkers, storage_url: str, tmp_path: Path
) -> None:
    _submit(storage_url)
    assert killable.run(storage_url, "s") == "exit 0"
    calm = _outcome(storage_url)
    assert [(row[0], row[1]) for row in calm] == [
        *(("coarse", i) for i in range(6)), *(("confirm", i) for i in range(4)),
        *(("fine", i) for i in range(3)), ("test", 0),
    ]  # fmt: skip
    assert {row[2] for row in calm} == {"complete"}
    *_, test = calm
    assert test[5] == test[6]
    assert [row[6] for row in calm[:-1]] == [None] * 13

    other = f"sqlite:///{tmp_path / 'killed.db'}"
    _submit(other)
    for fault in ("worker.advance:1", "worker.advanced:1", "worker.advance:1", "worker.advanced:1"):
        assert killable.run(other, "s", fault) == "signal 9"
    assert killable.run(other, "s") == "exit 0"
    assert _outcome(other) == calm


@pytest.mark.slow
@SQLITE
def test_several_workers_train_the_same_slots_as_one(
    killable: KillableWorkers, storage_url: str, tmp_path: Path
) -> None:
    _submit(storage_url)
    workers = [killable.start(storage_url, "s") for _ in range(3)]
    assert [killable.wait(pid) for pid in workers] == ["exit 0"] * 3
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    _submit(alone)
    assert killable.run(alone, "s") == "exit 0"
    assert _outcome(storage_url) == _outcome(alone)
