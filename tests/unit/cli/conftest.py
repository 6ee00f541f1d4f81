"""A small database as a study leaves it: complete, exploded, failed and running trials."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hpo.config.image_format import STANDARD, ImageFormat
from hpo.config.parsing.load import parse_study
from hpo.data.division import DRAWN, Division
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.records import EpochResult, Finding, Outcome
from hpo.settings import settings
from hpo.storage.store import ResultsStore

STUDY = """\
study: demo
trials: 6
fixed: {dataset: synthetic, epochs: 3}
space:
  lr: {log: [1e-3, 10]}
  optimizer: {choice: [sgd, adam]}
  momentum: {uniform: [0.5, 0.9], when: {optimizer: sgd}}
"""
_DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-3, 10, log=True),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "momentum": FloatDistribution(0.5, 0.9),
}
_EXPLODED = "exploded: loss 9.1 at step 30 is over 3 x the first loss 2.31"


@dataclass(frozen=True)
class _Images:
    name: str = "synthetic"
    fingerprint: str = "f" * 64
    origin: str = "ten drawn classes"
    classes: tuple[str, ...] = tuple("0123456789")
    train_labels: range = range(50_000)
    class_counts: tuple[int, ...] = (5_000,) * 10
    division: Division = DRAWN
    format: ImageFormat = STANDARD


@pytest.fixture(scope="session")
def demo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database file; only read from."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    with ResultsStore(f"sqlite:///{path}") as store:
        study_id = register_study(store, parse_study(STUDY, "demo.yaml"), cast(Any, _Images()))
        _trial(store, study_id, {"lr": 0.05, "optimizer": "sgd", "momentum": 0.9}, _complete(0.71, 3))
        _trial(store, study_id, {"lr": 0.01, "optimizer": "adam"}, _complete(0.8125, 2))
        pruned = Outcome(
            state="pruned", verdict=_EXPLODED, cause="exploding_loss", remedy="lower lr to 0.5 or less"
        )
        _trial(store, study_id, {"lr": 5.0, "optimizer": "sgd", "momentum": 0.6}, pruned)
        _trial(store, study_id, {"lr": 2.0, "optimizer": "adam"}, pruned)
        failed = Outcome(
            state="failed",
            cause="error",
            verdict="error: ValueError: \x1b[31mno",
            error="Traceback ...\nValueError: \x1b[31mno",
        )
        _trial(store, study_id, {"lr": 0.02, "optimizer": "adam"}, failed)
        _trial(store, study_id, {"lr": 0.03, "optimizer": "adam"}, None)
    return path


@pytest.fixture
def demo(demo_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the database, which is also the default storage."""
    url = f"sqlite:///{demo_path}"
    monkeypatch.setenv("HPO_STORAGE", url)
    settings.cache_clear()
    yield url
    settings.cache_clear()


@pytest.fixture
def own_demo(demo_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a copy of the database that the test may change, which is also the default storage."""
    shutil.copy(demo_path, tmp_path / "own.db")
    url = f"sqlite:///{tmp_path / 'own.db'}"
    monkeypatch.setenv("HPO_STORAGE", url)
    settings.cache_clear()
    yield url
    settings.cache_clear()


def _complete(value: float, best_epoch: int) -> Outcome:
    return Outcome(
        state="complete", value=value, verdict="healthy", cause="healthy", best_epoch=best_epoch,
        parameters=25_000, weights_hash="abc",
    )  # fmt: skip


def _trial(store: ResultsStore, study_id: int, params: dict[str, Any], outcome: Outcome | None) -> None:
    lease = claim(store, study_id, "host:1:w", lease_seconds=3600)
    assert lease is not None
    configuration = parse_study(STUDY, "demo.yaml").configuration(params).applicable()
    distributions = {name: _DISTRIBUTIONS[name] for name in params}
    trial_id, _ = store.begin_trial(
        lease, params=params, distributions=distributions, configuration=configuration, device="cpu"
    )
    store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    finding = Finding("initial_loss", "pass", 2.31, 0.1, "the first loss is 2.31, ln 10 is 2.303")
    store.record_findings(lease, trial_id, [finding])
    epochs = 0 if outcome is None or outcome.state != "complete" else 3
    for epoch in range(1, epochs + 1):
        loss = 2.0 / epoch
        record = EpochResult(epoch, loss, 0.25 * epoch, loss, 0.2 * epoch, params["lr"], 1.5, 3000, 2000.0)
        store.record_epoch(lease, trial_id, record)
    if outcome is not None:
        store.finish_trial(lease, trial_id, outcome)
