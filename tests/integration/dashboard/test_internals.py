"""The private parts of optuna-dashboard that hpo uses. If these fail after an update, adapt ``internals``."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna_dashboard import _inmemory_cache, save_note, wsgi

import hpo
from hpo.reporting.dashboard import internals


def _imports(path: Path) -> list[str]:
    """The modules that a file imports from."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
        elif isinstance(node, ast.Import):
            found += [each.name for each in node.names]
    return found


def test_internals_is_the_only_importer_of_private_modules() -> None:
    files = list(Path(hpo.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    private = {
        path.name for path in files for module in _imports(path) if module.startswith("optuna_dashboard.")
    }
    assert private == {"internals.py"}


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (internals.get_trials, ["in_memory_cache", "storage", "study_id"]),
        (internals.get_cached_extra_study_property, ["in_memory_cache", "study_id", "trials"]),
        (internals.get_note_from_system_attrs, ["system_attrs", "trial_id"]),
        (internals.list_trial_artifacts, ["study_system_attrs", "trial_system_attrs", "trial"]),
        (internals.serialize_frozen_trial, ["study_id", "trial", "study_system_attrs"]),
    ],
)
def test_internals_functions_have_their_parameters(function: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_get_note_returns_version_and_body() -> None:
    study = optuna.create_study()
    assert internals.get_note_from_system_attrs({}, None) == {"version": 0, "body": ""}
    save_note(study, "seen")
    note = internals.get_note_from_system_attrs(study._storage.get_study_system_attrs(0), None)
    assert note == {"version": 1, "body": "seen"}


def test_trials_cache_is_that_of_the_application() -> None:
    app = wsgi(InMemoryStorage())
    cache = internals.trials_cache(app)
    assert isinstance(cache, internals.InMemoryCache) and cache is app._inmemory_cache


def test_trials_cache_scans_ended_trials_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = internals.trials_cache(wsgi(InMemoryStorage()))
    scanned: list[int] = []
    original = _inmemory_cache._CachedExtraStudyProperty._update_user_attrs

    def scan(properties: Any, trial: FrozenTrial) -> None:
        scanned.append(trial.number)
        original(properties, trial)

    monkeypatch.setattr(_inmemory_cache._CachedExtraStudyProperty, "_update_user_attrs", scan)
    lr: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-4, 1.0)}
    trials = [create_trial(value=0.5, params={"lr": 0.1}, distributions=lr) for _ in range(3)]
    for number, trial in enumerate(trials):
        trial.number = trial._trial_id = number
    trials[1].state = TrialState.RUNNING
    for _ in range(2):
        intersection, union, attrs, curves = internals.get_cached_extra_study_property(cache, 1, trials)
        assert (intersection, union, attrs, curves) == (list(lr.items()), list(lr.items()), [], False)
    assert sorted(scanned) == [0, 1, 1, 2]
