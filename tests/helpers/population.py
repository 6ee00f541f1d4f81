"""A study of twenty trials with known numbers, for the tests of views and saved queries."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hpo.diagnosis.refresh import replace_findings
from hpo.queue.leases import release
from hpo.records import EpochResult, Finding, LayerStatistics, Outcome, Remedy, StudyFinding
from hpo.storage.engine import writing

EPOCHS = 4
_ACTIVATIONS = ("relu", "tanh", "sigmoid")
_NORMS = ("none", "before", "after")
_DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-4, 10.0, log=True),
    "activation": CategoricalDistribution(_ACTIVATIONS),
    "batch_norm": CategoricalDistribution(_NORMS),
    "batch_size": CategoricalDistribution([32, 64]),
}


@dataclass(frozen=True)
class Known:
    """What a trial was made with."""

    number: int
    lr: float
    activation: str
    batch_norm: str
    batch_size: int
    state: str
    value: float | None
    verdict: str
    epochs_done: int
    best_epoch: int | None

    @property
    def cause(self) -> str:
        return self.verdict.partition(":")[0]

    @property
    def drawn(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _DISTRIBUTIONS}


def known_trials(count: int = 20) -> list[Known]:
    """Exploded from lr 1 on, an error in trial 5, at chance below 0.001; values rise with lr between."""
    found = []
    for number in range(count):
        # 7 and 20 have no common divisor: the rates come in a mixed order.
        lr = 1e-4 * 10 ** (5 * ((7 * number) % count) / count)
        activation, norm = _ACTIVATIONS[number % 3], _NORMS[(number // 3) % 3]
        value: float | None
        state, verdict, value, done = "complete", "healthy", 0.4 + 0.02 * ((7 * number) % count), EPOCHS
        if lr >= 1.0:
            state, verdict, value, done = "pruned", f"exploded: at lr {lr:.3g}", None, 1
        elif number == 5:
            state, verdict, value, done = "failed", "error: ValueError: no", None, 2
        elif lr < 1e-3:
            verdict, value = "did not learn: stayed at chance", 0.1 + 0.001 * number
        elif activation == "sigmoid":
            value = value - 0.05
        best = None if value is None else (EPOCHS if number % 2 else 2)
        size = 32 if number % 4 else 64
        found.append(Known(number, lr, activation, norm, size, state, value, verdict, done, best))
    return found


def populate(bench: Any, study: str = "known", trials: list[Known] | None = None) -> list[Known]:
    """Write the trials as workers would; the third is interrupted and resumed by another worker."""
    known = known_trials() if trials is None else trials
    study_id = bench.register(study, trials=len(known) + 1, fixed={"epochs": EPOCHS}, tradeoff="parameters")
    for trial in known:
        _write(bench, study_id, trial)
    remark = StudyFinding("cost", "note", "some trials failed", {"share": 0.5}, "", {})
    with writing(bench.store.engine) as connection:
        replace_findings(connection, study_id, [remark], trials_seen=len(known))
    return known


def _write(bench: Any, study_id: int, trial: Known) -> None:
    lease = bench.claim(study_id, worker=f"host{trial.number % 2}:1:0.00")
    trial_id, number = bench.store.begin_trial(
        lease,
        params=trial.drawn,
        distributions=_DISTRIBUTIONS,
        configuration=bench.spec(fixed={"epochs": EPOCHS}).configuration(trial.drawn).applicable(),
        device="cpu",
    )
    assert number == trial.number
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    if number == 3:
        release(bench.store, lease)
        lease = bench.claim(study_id, worker="host9:1:0.00")
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    for epoch, layer in itertools.product(range(1, trial.epochs_done + 1), range(2)):
        histogram: dict[str, Any] = {"low": -1.5, "high": 0.1, "counts": (7, 0, 3)} if epoch == 1 else {}
        record = LayerStatistics(
            f"conv{layer}",
            step=10 * epoch,
            epoch=epoch,
            position=layer,
            mean=0.0,
            std=1.0,
            dead=0.5 / epoch,
            saturated=0.0,
            gradient_norm=1.0,
            update_ratio=1e-3,
            **histogram,
        )
        if layer == 0:
            bench.store.record_epoch(lease, trial_id, _epoch(trial, epoch))
        if number == 0:
            bench.store.record_layers(lease, trial_id, [record])
    severity = {"healthy": "pass", "exploded": "fatal"}.get(trial.cause, "warn")
    finding = Finding("watch", severity, 1.0, 2.0, trial.verdict, Remedy("another lr"), step=9, epoch=1)  # type: ignore[arg-type]
    bench.store.record_findings(lease, trial_id, [finding])
    outcome = Outcome(
        trial.state,  # type: ignore[arg-type]
        value=trial.value,
        verdict=trial.verdict,
        cause=trial.cause,
        remedy="another lr",
        best_epoch=trial.best_epoch,
        parameters=100,
        weights_hash="abc",
    )
    bench.store.finish_trial(lease, trial_id, outcome)


def _epoch(trial: Known, epoch: int) -> EpochResult:
    value = (trial.value or 0.1) * epoch / EPOCHS
    return EpochResult(
        epoch, 2.0 / epoch, value + 0.1 * trial.lr, 2.1 / epoch, value, trial.lr, 2.0, 100, 50.0
    )
