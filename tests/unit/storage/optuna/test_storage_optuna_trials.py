from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from hpo.storage.optuna import storage as optuna_trials
from hpo.storage.optuna.storage import open_optuna_storage


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A study with trials of every kind, after another study."""
    url = f"sqlite:///{tmp_path}/d.db"
    optuna.create_study(storage=url, study_name="other").add_trial(create_trial(value=1.0))
    study = optuna.create_study(storage=url, study_name="odd", directions=["maximize", "minimize"])
    space: dict[str, BaseDistribution] = {
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "layers": IntDistribution(1, 4),
        "norm": CategoricalDistribution((None, "batch", 3)),
    }
    params: dict[str, Any] = {"lr": 0.1, "layers": 2, "norm": None}
    curve = {1: 0.5, 3: float("inf"), 2: -float("inf")}
    attrs: dict[str, Any] = {"user_attrs": {"a": [1, {"b": None}]}, "system_attrs": {"constraints": [1.0]}}
    study.add_trial(create_trial(values=[0.7, float("inf")], params=params, distributions=space, **attrs))
    study.add_trial(
        create_trial(
            state=TrialState.PRUNED, params=params, distributions=space, intermediate_values=curve, **attrs
        )
    )
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.enqueue_trial({"lr": 0.3})
    study.ask(space)
    study.enqueue_trial({"lr": 0.4})
    return url


@pytest.mark.usefixtures("_far_from_greenwich")
def test_all_at_once_are_those_that_optuna_reads(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = RDBStorage(url).get_all_trials(2)
    read = optuna_trials._read
    used = []
    monkeypatch.setattr(optuna_trials, "_read", lambda *given: used.append(1) or read(*given))
    storage = open_optuna_storage(url)
    ours = storage.get_all_trials(2)
    assert used
    assert ours == theirs
    assert [trial._trial_id for trial in ours] == [trial._trial_id for trial in theirs]
    assert list(ours[1].intermediate_values) == [1, 3, 2]
    assert len(storage.get_all_trials(1)) == 1


def test_trials_that_come_or_change_later_are_read_too(url: str) -> None:
    storage = open_optuna_storage(url)
    assert [trial.state for trial in storage.get_all_trials(2)][3] == TrialState.RUNNING
    study = optuna.load_study(storage=url, study_name="odd")
    study.tell(3, [0.1, 0.2])
    study.add_trial(create_trial(values=[0.3, 0.4]))
    later = storage.get_all_trials(2)
    assert (later[3].values, later[5].values) == ([0.1, 0.2], [0.3, 0.4])


def test_a_study_that_is_not_there(url: str) -> None:
    with pytest.raises(KeyError):
        open_optuna_storage(url).get_all_trials(9)
