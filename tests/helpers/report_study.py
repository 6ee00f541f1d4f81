"""A study for pictures and reports: good trials, failures, a running trial, odd texts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hpo.config.parsing.load import parse_study
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.records import EpochResult, Finding, LayerStatistics, Outcome, Remedy
from hpo.storage.store import ResultsStore
from tests.helpers.datasets import blank_dataset

TRIALS = 24
ODD_TEXT = "ValueError: <script>alert(1)</script> \x1b[31m ../../etc/passwd 🦊 $x_1$ {{ 7 * 7 }}"
"""The message of an error: nothing in it may have an effect on a page or a terminal."""
STUDY = f"""\
study: watched
trials: {TRIALS}
fixed: {{dataset: synthetic, epochs: 4}}
space:
  lr: {{log: [1e-3, 10]}}
  activation: {{choice: [relu, tanh, sigmoid]}}
  optimizer: {{choice: [sgd, adam]}}
  momentum: {{uniform: [0.5, 0.9], when: {{optimizer: sgd}}}}
"""
_DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-3, 10, log=True),
    "activation": CategoricalDistribution(["relu", "tanh", "sigmoid"]),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "momentum": FloatDistribution(0.5, 0.9),
}
_HISTOGRAM: dict[str, Any] = {
    "low": -3.0,
    "high": 5.0,
    "counts": (1, 4, 9, 4),
}
EXPLODED = "learning rate too high: the loss is 9.1 at step 30, over 3 x the first (2.31)"


def watched_study(path: Path) -> str:
    """Create the study in a new SQLite file; return its URL."""
    url = f"sqlite:///{path}"
    with ResultsStore(url) as store:
        study_id = register_study(store, parse_study(STUDY, "watched.yaml"), blank_dataset())
        for number in range(TRIALS):
            _trial(store, study_id, number)
    return url


def drawn(number: int) -> dict[str, Any]:
    """Return the hyperparameters of a trial: lr covers four decades, in a mixed order."""
    lr = 1e-3 * 10 ** (4 * ((7 * number) % TRIALS) / TRIALS)
    values: dict[str, Any] = {"lr": lr, "activation": ("relu", "tanh", "sigmoid")[number % 3]}
    values["optimizer"] = ("sgd", "adam")[number % 2]
    return {**values, "momentum": 0.6} if number % 2 == 0 else values


def outcome(number: int) -> Outcome | None:
    """Return how a trial ends: it explodes from lr 1 on, 5 fails, the last one runs, values rise with lr."""
    lr = drawn(number)["lr"]
    if number == TRIALS - 1:
        return None
    if number == 5:
        return Outcome(
            "failed", verdict=f"error: {ODD_TEXT}", cause="error", error=f"Traceback ...\n{ODD_TEXT}"
        )
    if lr >= 1:
        return Outcome(
            "pruned", verdict=EXPLODED, cause="lr_too_high", confidence=0.85, remedy="lower lr to 0.3"
        )
    if number == 2:
        return Outcome("pruned", verdict="stopped early: 9th of 12", cause="healthy")
    value = round(0.3 + 0.2 * (3 + math.log10(lr)) + 0.001 * number, 4)
    return Outcome(
        "complete", value=value, verdict="healthy", cause="healthy", best_epoch=4, parameters=25_000
    )


def _trial(store: ResultsStore, study_id: int, number: int) -> None:
    lease = claim(store, study_id, "host:1:w", lease_seconds=3600)
    assert lease is not None
    params = drawn(number)
    trial_id, _ = store.begin_trial(
        lease,
        params=params,
        distributions={name: _DISTRIBUTIONS[name] for name in params},
        configuration=parse_study(STUDY, "watched.yaml").configuration(params).applicable(),
        device="cpu",
    )
    store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    ended = outcome(number)
    store.record_findings(lease, trial_id, _findings(ended))
    for epoch in range(1, _epochs(ended) + 1):
        value = (ended.value if ended and ended.value else 0.4) * epoch / 4
        record = EpochResult(epoch, 2.0 / epoch, value + 0.05, 2.1 / epoch, value, 0.01, 1.5, 4500, 3000.0)
        store.record_epoch(lease, trial_id, record)
        store.record_layers(lease, trial_id, [_layer(epoch, place) for place in range(3)])
    if ended is not None and ended.cause == "lr_too_high":
        first = [_layer(0, place) for place in range(3)]
        store.record_layers(lease, trial_id, [replace(each, **_HISTOGRAM) for each in first])
    if ended is not None:
        store.finish_trial(lease, trial_id, ended)


def _epochs(ended: Outcome | None) -> int:
    if ended is None:
        return 2
    return {"complete": 4, "pruned": 0, "failed": 1}[ended.state] + (ended.cause == "healthy") * (
        ended.state == "pruned"
    )


def _findings(ended: Outcome | None) -> list[Finding]:
    first = Finding("initial_loss", "pass", 2.31, 2.303, "the first loss is 2.310; ln 10 = 2.303")
    if ended is None or ended.cause != "lr_too_high":
        return [first]
    return [
        first,
        Finding("exploding_loss", "fatal", 9.1, 6.93, EXPLODED, Remedy("lower lr to 0.3"), step=30),
    ]


def _layer(epoch: int, place: int) -> LayerStatistics:
    name = ("stage1.conv1.conv", "stage2.conv2.conv", "head.classifier")[place]
    return LayerStatistics(
        name,
        step=10 * epoch,
        epoch=epoch,
        position=place,
        mean=0.1,
        std=1.0 / (1 + place),
        dead=0.2 * place,
        saturated=0.1,
        gradient_norm=0.5,
        update_ratio=1e-3 / (1 + epoch),
    )
