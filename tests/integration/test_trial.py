"""One study in this process, on both databases: what is stored of trials, good and bad."""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import safetensors.torch
import torch
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import Engine, text
from torch import nn

import hpo.training.loop
import hpo.training.setup
from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.config.thresholds import Thresholds
from hpo.data.preprocess import Preprocessor
from hpo.data.split import split
from hpo.errors import OutOfMemoryError
from hpo.events import EpochDone, Event, FindingMade, TrialEnded, TrialStarted
from hpo.queries.study import leaderboard, study_status
from hpo.queries.trial import preprocessing_state, trial_detail
from hpo.queue.enqueue import enqueue
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.search.samplers.registry import sample_slot
from hpo.storage.store import ResultsStore
from hpo.storage.studies import results_engine
from hpo.training.model_factory import build_model
from hpo.training.setup import TrialSetup
from hpo.training.study_images import load_study_images
from hpo.workers.loop import serve
from hpo.workers.messages import Ready, WorkOrder
from hpo.workers.submit import submit_study
from tests import helpers

FIXED: dict[str, Any] = {
    "dataset": "synthetic",
    "train_images": 500,
    "width": 4,
    "depth": 2,
    "epochs": 2,
    "batch_size": 50,
    "precision": "fp32",
}


def _study(space: dict[str, Any], *, sampler: str = "grid", **fixed: Any) -> StudySpec:
    return StudySpec.model_validate(
        {"study": "s", "trials": 2, "sampler": sampler, "fixed": FIXED | fixed, "space": space}
    )


def _run(url: str, spec: StudySpec) -> list[Event]:
    events: list[Event] = []
    with ResultsStore(url) as store:
        submit_study(store, spec)
    ready: list[Ready] = []
    serve(WorkOrder(url, (spec.study,), "cpu", 2), events.append, lambda: None, ready.append)
    assert [each.device for each in ready] == ["cpu"]
    return events


def test_nothing_of_a_trial_is_left_in_memory_when_the_next_begins(tmp_path: Path) -> None:
    """Python's own collector would come many trials later, so it is switched off here."""
    url = f"sqlite:///{tmp_path / 'hpo.db'}"
    spec = _study({"lr": {"choice": [0.01, 0.02]}}, epochs=1)
    left: list[set[type]] = []

    def look(event: Event) -> None:
        if isinstance(event, TrialStarted):
            alive = {id(each): type(each) for each in gc.get_objects() if issubclass(type(each), _HEAVY)}
            left.append({kind for place, kind in alive.items() if place not in before})

    with ResultsStore(url) as store:
        submit_study(store, spec)
    gc.collect()
    before = {id(each) for each in gc.get_objects() if issubclass(type(each), _HEAVY)}
    gc.disable()
    try:
        serve(WorkOrder(url, (spec.study,), "cpu", 2), look, lambda: None, lambda ready: None)
    finally:
        gc.enable()
    assert left == [set(), set()]


_HEAVY = (nn.Module, torch.optim.Optimizer)


@pytest.fixture
def results(storage_url: str) -> Iterator[Engine]:
    engine = results_engine(storage_url)
    yield engine
    engine.dispose()


def _optuna_trials(url: str) -> list[FrozenTrial]:
    storage = RDBStorage(url)
    study = optuna.load_study(study_name="s", storage=storage)
    assert study.metric_names == ["val_accuracy"]
    trials = study.trials
    storage.remove_session()
    storage.engine.dispose()
    return trials


def _ended(events: list[Event]) -> list[TrialEnded]:
    return [event for event in events if isinstance(event, TrialEnded)]


def test_a_sound_and_an_exploding_trial(storage_url: str, results: Engine) -> None:
    events = _run(storage_url, _study({"lr": {"choice": [0.05, 1e6]}}, batch_norm="none"))
    assert [event.state for event in _ended(events)] == ["complete", "pruned"]
    assert [event.number for event in events if isinstance(event, TrialStarted)] == [0, 1]
    assert [(e.number, e.result.epoch) for e in events if isinstance(e, EpochDone)][:2] == [(0, 1), (0, 2)]

    told = [event for event in events if isinstance(event, FindingMade)]
    assert ("fatal", "exploding_loss") in {(e.severity, e.check) for e in told if e.number == 1}
    assert all(event.severity != "pass" for event in told)

    sound, exploded = (trial_detail(results, "s", number) for number in (0, 1))
    assert sound.state == "complete"
    found = {finding.check: finding for finding in sound.findings}
    assert set(found) >= {"initial_loss", "regularized_loss", "overfit_small", "exploding_loss", "learned"}
    assert found["initial_loss"].value == pytest.approx(math.log(10), rel=0.5)
    assert found["initial_loss"].threshold == pytest.approx(math.log(10))
    penalty = found["regularized_loss"].value
    assert penalty is not None and penalty > 0

    assert exploded.state == "pruned"
    assert exploded.verdict is not None and exploded.verdict.startswith("learning rate too high: ")
    assert exploded.remedy is not None and exploded.remedy.startswith("lower lr to ")
    assert [finding.severity for finding in exploded.findings].count("fatal") == 1
    assert study_status(results, "s").summary.done == 2
    assert [leader.number for leader in leaderboard(results, "s")] == [0]

    first, second = _optuna_trials(storage_url)
    assert (first.state.name, second.state.name) == ("COMPLETE", "PRUNED")
    assert first.value == sound.value
    assert first.intermediate_values.keys() == {1, 2}
    assert second.user_attrs["verdict"].startswith("learning rate too high")


def test_a_configuration_that_was_given_is_trained_in_the_place_of_a_draw(
    storage_url: str, results: Engine
) -> None:
    space = {"lr": {"log": [1e-3, 1e-2]}, "activation": {"choice": ["relu", "tanh"]}}
    spec = _study(space, sampler="random")
    with ResultsStore(storage_url) as store:
        study_id = submit_study(store, spec).study_id
        enqueue(store, study_id, {"lr": 0.05, "activation": "elu", "batch_size": 25, "momentum": 0.5})
    _run(storage_url, spec)
    given, drawn = (trial_detail(results, "s", number) for number in (0, 1))
    asked = {name: given.configuration[name] for name in ("lr", "activation", "batch_size", "momentum")}
    assert asked == given.given == {"lr": 0.05, "activation": "elu", "batch_size": 25, "momentum": 0.5}
    assert drawn.given is None
    assert {name: drawn.configuration[name] for name in spec.space} == sample_slot(spec, 1)
    first, second = _optuna_trials(storage_url)
    # Not activation: Optuna wants the same choices in all trials.
    assert first.params == {"lr": 0.05}
    assert second.params == sample_slot(spec, 1)


def test_preprocessing_state_is_stored_once_for_all_trials(storage_url: str, results: Engine) -> None:
    space = {"preprocessing": {"choice": ["standardize", "minmax"]}}
    spec = _study(space).model_copy(update={"trials": 4})
    _run(storage_url, spec)
    images = load_study_images(spec, "synthetic", STANDARD).test_images[:8]
    with results.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM hpo_statistics")) == 2
    state = safetensors.torch.load(preprocessing_state(results, "s", 2))
    ours = Preprocessor.from_state(state)(torch.from_numpy(np.array(images)))
    data = load_study_images(spec, "synthetic", STANDARD)
    rows = split(data.train_labels, data.classes, 0.1, 500, Key(0) / "split").train
    seen = data.train_images[rows].astype(np.float64)
    mean, std = seen.mean((0, 2, 3), keepdims=True)[0], seen.std((0, 2, 3), keepdims=True)[0]
    np.testing.assert_allclose(ours.numpy(), (images - mean) / std, atol=1e-4)


class _Broken(nn.Module):
    """Works in evaluation, and so passes the check on start; raises in training."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise ValueError("no gradient today")
        logits: torch.Tensor = self.dense(images.flatten(1))
        return logits


def test_a_bug_in_a_trial_fails_it_and_the_study_continues(
    storage_url: str, results: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = build_model

    def build(configuration: Any, **arguments: Any) -> nn.Module:
        return _Broken() if configuration.width == 4 else real(configuration, **arguments)

    monkeypatch.setattr(hpo.training.setup, "build_model", build)
    events = _run(storage_url, _study({"width": {"choice": [4, 5]}}))
    assert [event.state for event in _ended(events)] == ["failed", "complete"]
    failed = trial_detail(results, "s", 0)
    assert failed.verdict == "error: ValueError: no gradient today"
    assert failed.error is not None and "in forward" in failed.error


def test_running_out_of_memory_fails_the_trial_with_a_remedy(
    storage_url: str, results: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hpo.training.loop.train

    def train(setup: TrialSetup, *arguments: Any) -> Iterator[EpochResult]:
        if setup.configuration.batch_size == 100:
            raise OutOfMemoryError("too little memory for batch_size 100 at width 4")
        return real(setup, *arguments)

    monkeypatch.setattr(hpo.training.loop, "train", train)
    events = _run(storage_url, _study({"batch_size": {"choice": [100, 50]}}))
    assert [event.state for event in _ended(events)] == ["failed", "complete"]
    failed = trial_detail(results, "s", 0)
    assert failed.verdict == "out of memory: too little memory for batch_size 100 at width 4"
    assert failed.remedy == "lower batch_size or width"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on address space")
@pytest.mark.slow
@pytest.mark.parametrize("checks", ["standard", "off"])
def test_a_worker_out_of_memory_frees_it_and_continues(checks: str, tmp_path: Path) -> None:
    script = Path(helpers.__file__).with_name("starved.py")
    command = [sys.executable, str(script), str(tmp_path), checks]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["states"] == ["complete", "failed", "complete"]
    after_first, after_failure, _ = told["resident"]
    assert after_failure < 1.05 * after_first
    engine = results_engine(f"sqlite:///{tmp_path / 'hpo.db'}")
    failed = trial_detail(engine, "s", 1)
    engine.dispose()
    assert failed.verdict is not None
    assert failed.verdict.startswith(
        "out of memory: cpu has too little memory for batch_size 2000 at width 200"
    )


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_without_checks_nothing_is_stopped(storage_url: str, results: Engine) -> None:
    spec = _study({"lr": {"choice": [0.05, 1e6]}}, batch_norm="none").model_copy(
        update={"checks": Thresholds(preset="off")}
    )
    events = _run(storage_url, spec)
    assert [event.state for event in _ended(events)] == ["complete", "complete"]
    unchecked = trial_detail(results, "s", 1)
    assert (unchecked.findings, unchecked.verdict, unchecked.cause) == ((), "not checked", "not_checked")
