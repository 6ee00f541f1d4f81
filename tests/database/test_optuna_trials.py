"""What hpo writes of a trial to Optuna's tables is what Optuna itself would have written."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import delete, select, text

from hpo.errors import LeaseLostError
from hpo.records import Outcome
from hpo.storage.optuna.trials import suggest_to_optuna
from tests.database.conftest import DISTRIBUTIONS, Bench

_TABLES: list[Any] = [
    models.TrialModel,
    models.TrialParamModel,
    models.TrialUserAttributeModel,
    models.TrialSystemAttributeModel,
    models.TrialIntermediateValueModel,
    models.TrialValueModel,
]
_ENDS = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_PARAMS = {"lr": 0.1, "activation": "tanh"}
_DRAWN = optuna.distributions.FloatDistribution(0.0, 1.0)
_REPORTS = {1: 0.5, 2: math.nan, 3: math.inf, 4: -math.inf}


def _by_hpo(bench: Bench, outcome: Outcome) -> int:
    lease = bench.claim(bench.register("ours"))
    trial_id, _ = bench.store.begin_trial(
        lease,
        params=_PARAMS,
        distributions=DISTRIBUTIONS,
        configuration={"epochs": 3},
        device="cpu",
        attributes={"cma:generation": 2},
    )
    drawn = {"momentum": (0.25, _DRAWN)}
    bench.store.write(lambda connection: suggest_to_optuna(connection, trial_id, drawn, {"note": [1, None]}))
    for epoch, value in _REPORTS.items():
        bench.store.record_epoch(lease, trial_id, bench.record(epoch, 0.0))
        bench.store.record_epoch(lease, trial_id, bench.record(epoch, value))  # the worker got no answer
    bench.store.finish_trial(lease, trial_id, outcome)
    return trial_id


def _by_optuna(storage: RDBStorage, outcome: Outcome) -> int:
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "theirs")
    template = FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params=_PARAMS,
        distributions=DISTRIBUTIONS,
        user_attrs={"stage": "main", "slot": 0},
        system_attrs={"cma:generation": 2},
        intermediate_values={},
    )
    trial = storage.create_new_trial(study, template)
    storage.set_trial_param(trial, "momentum", 0.25, _DRAWN)
    storage.set_trial_user_attr(trial, "note", [1, None])
    for step, value in _REPORTS.items():
        storage.set_trial_intermediate_value(trial, step, value)
    for name in ("verdict", "best_epoch"):
        storage.set_trial_user_attr(trial, name, getattr(outcome, name))
    values = None if outcome.value is None else [outcome.value]
    storage.set_trial_state_values(trial, _ENDS[outcome.state], values)
    return trial


def _rows(bench: Bench, trial_id: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a trial in each of Optuna's tables, without ids and times, in their order."""
    found = {}
    with bench.store.engine.connect() as connection:
        for table in (each.__table__ for each in _TABLES):
            (order,) = table.primary_key
            names = [each for each in table.c if each.name not in ("trial_id", "study_id", order.name)]
            kept = [each for each in names if not each.name.startswith("datetime")]
            rows = connection.execute(select(*kept).where(table.c.trial_id == trial_id).order_by(order))
            found[table.name] = [dict(row._mapping) for row in rows]
    return found


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("complete", 0.5, "healthy", best_epoch=1),
        Outcome("pruned", None, "worse than the others", best_epoch=1),
        Outcome("failed", None, "out of memory", best_epoch=1),
    ],
    ids=lambda outcome: outcome.state,
)
def test_rows_of_a_trial_are_those_that_optuna_writes(bench: Bench, outcome: Outcome) -> None:
    before = datetime.now()
    ours = _by_hpo(bench, outcome)
    with bench.plain_optuna() as storage:
        theirs = _by_optuna(storage, outcome)
        read = storage.get_trial(ours)

    found = _rows(bench, ours)

    assert found == _rows(bench, theirs)
    assert [each["value_json"] for each in found["trial_user_attributes"]] == [
        json.dumps(each) for each in ("main", 0, [1, None], outcome.verdict, 1)
    ]
    assert read.params == {**_PARAMS, "momentum": 0.25}
    assert before <= read.datetime_start <= read.datetime_complete <= datetime.now()  # type: ignore[operator]


def test_begin_trial_of_a_study_deleted_by_optuna_loses_the_lease(bench: Bench) -> None:
    study = bench.register()
    lease = bench.claim(study)
    with bench.store.engine.connect() as connection:  # as a program without foreign keys does
        if connection.dialect.name == "sqlite":
            connection.execute(text("COMMIT"))
            connection.execute(text("PRAGMA foreign_keys=OFF"))
            connection.execute(text("BEGIN IMMEDIATE"))
        connection.execute(delete(models.StudyDirectionModel))
        connection.execute(delete(models.StudyUserAttributeModel))
        connection.execute(delete(models.StudySystemAttributeModel))
        connection.execute(delete(models.StudyModel))
        connection.commit()

    with pytest.raises(LeaseLostError):
        bench.begin(lease)
