"""Metrics by class in the database: the best epoch's confusion matrix, and columns that came later."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text, update

from hpo.config.objective import Objective
from hpo.queries.study import study_curves
from hpo.queries.trial import lowest_recalls, trial_detail, trials_with_classes
from hpo.records import class_results, reported_epoch
from hpo.storage.fence import Lease
from hpo.storage.tables import CLASSES, EPOCHS
from tests.database.conftest import Bench

AUC = Objective("val_auc", "maximize")
NAMES = ("intact", "cracked")
EARLY = class_results([[90, 10], [8, 2]], NAMES, 1)
LATE = class_results([[95, 5], [4, 6]], NAMES, 3)


@pytest.fixture
def lease(bench: Bench) -> Lease:
    return bench.claim(bench.register(objective="val_auc"))


@pytest.fixture
def trial_id(bench: Bench, lease: Lease) -> int:
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1, val_auc=0.7), AUC, EARLY)
    bench.store.record_epoch(lease, trial_id, bench.record(2, val_auc=0.6), AUC)
    bench.store.record_epoch(lease, trial_id, bench.record(3, val_auc=0.8), AUC, LATE)
    return trial_id


def test_view_classes_has_the_best_epoch_with_recall_and_precision(bench: Bench, trial_id: int) -> None:
    columns = "epoch, label, class_name, images, correct, predicted, recall, precision, predictions"
    with bench.store.engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM classes ORDER BY label")).all()
    found = [[*row[:8], json.loads(row[8]) if isinstance(row[8], str) else row[8]] for row in rows]
    assert found == [
        [3, 0, "intact", 100, 95, 99, 0.95, pytest.approx(95 / 99), {"0": 95, "1": 5}],
        [3, 1, "cracked", 10, 6, 11, 0.6, pytest.approx(6 / 11), {"0": 4, "1": 6}],
    ]


def test_trial_detail_has_the_classes_and_the_later_metrics(bench: Bench, trial_id: int) -> None:
    trial = trial_detail(bench.store.engine, "first", 0)
    assert list(trial.classes) == LATE
    assert [each.val_auc for each in trial.curve] == [0.7, 0.6, 0.8]
    assert trials_with_classes(bench.store.engine, "first") == {0}
    assert lowest_recalls(bench.store.engine, "first", [0, 7]) == {0: LATE[1]}


def test_rewind_before_the_best_epoch_drops_its_classes(bench: Bench, lease: Lease, trial_id: int) -> None:
    bench.store.rewind(lease, trial_id, epoch=3, step=-1)
    assert len(bench.rows(CLASSES)) == 2
    bench.store.rewind(lease, trial_id, epoch=2, step=-1)
    assert bench.rows(CLASSES) == []


def test_metric_of_before_its_column_is_read_from_the_others(bench: Bench, trial_id: int) -> None:
    with bench.store.engine.begin() as connection:
        connection.execute(update(EPOCHS).values(val_auc=None, metrics={"val_auc": 0.25}))
    assert study_curves(bench.store.engine, "first", [0])[0] == [(1, 0.25), (2, 0.25), (3, 0.25)]
    with bench.store.engine.connect() as connection:
        values = list(connection.scalars(text("SELECT value FROM curves")))
    assert values == [0.25] * 3
    assert trial_detail(bench.store.engine, "first", 0).curve[0].metric("val_auc") == 0.25


def test_reported_auc_of_an_own_training_has_the_column() -> None:
    assert reported_epoch(1, {"val_auc": 0.9}, 1.0).val_auc == 0.9
