"""One trial from configuration to outcome: the one place where search, data, model, training, checks and
results meet."""

from __future__ import annotations

import hashlib
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from hpo.checks.babysitter import Babysitter
from hpo.checks.base import Finding
from hpo.checks.verdict import verdict
from hpo.data.datasets import Dataset
from hpo.data.split import split
from hpo.errors import LeaseLostError, OutOfMemoryError
from hpo.events import EpochDone, Event, TrialEnded, TrialStarted
from hpo.model_catalog import build_model, parameter_count
from hpo.queue.leases import Lease, renew
from hpo.randomness import Key
from hpo.results.records import EpochRecord, FindingRecord, Outcome, OutcomeState
from hpo.results.store import ResultsStore
from hpo.search.draws import draw
from hpo.search.optuna_space import optuna_distribution
from hpo.spec.study import StudySpec
from hpo.training.loop import EpochResult, train
from hpo.training.optim import build_optimizer, penalty
from hpo.training.precision import resolve_precision
from hpo.training.state import TrialData, make_trial_data, weights_hash

PROBE_IMAGES = 256
"""Training images on which data-driven initializers and the first loss are measured."""
WATCH_STEPS = 20
"""Steps between two looks at the losses: an explosion costs at most that many steps more."""
UNREGULARIZED = {"weight_decay": 0.0, "l1": 0.0}


@dataclass(frozen=True)
class Workbench:
    """What a worker has ready for every trial of its study."""

    spec: StudySpec
    study_id: int
    store: ResultsStore
    dataset: Dataset
    device: torch.device
    worker: str
    lease_seconds: float
    emit: Callable[[Event], None]
    check_stop: Callable[[], None]
    """Raises ``StopRequestedError`` once this worker shall stop."""


class TrialStoppedError(Exception):
    """A check ended the training; carries its finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


def run_trial(bench: Workbench, lease: Lease) -> None:
    """Train the configuration of the lease's slot, and record how it went.

    A mistake in the trial itself (an exception, no memory left) ends it as failed. Raises ``LeaseLostError``
    if another worker has taken the slot, ``StopRequestedError`` after a signal.
    """
    _Trial(bench, lease).run()


class _Trial:
    def __init__(self, bench: Workbench, lease: Lease) -> None:
        self.bench = bench
        self.lease = lease
        self.drawn = draw(bench.spec, lease.slot)
        self.configuration = bench.spec.configuration({**self.drawn, "dataset": bench.dataset.name})
        self.key = Key(bench.spec.seed) / "trial" / lease.slot
        self.sitter = Babysitter(len(bench.dataset.classes), self.configuration.lr)
        self.trial_id, self.number = self._begin()
        self.findings: list[Finding] = []
        self.curve: list[EpochResult] = []
        self.parameters: int | None = None
        self.weights: str | None = None

    def run(self) -> None:
        started = time.monotonic()
        state, error = self._outcome()
        self._finish(state, error, time.monotonic() - started)

    def _outcome(self) -> tuple[OutcomeState, str | None]:
        try:
            self._train()
        except TrialStoppedError as stopped:
            self._found([stopped.finding])
            return "pruned", None
        except OutOfMemoryError as exhausted:
            self._found([_failure("out_of_memory", str(exhausted), "lower batch_size or width")])
            return "failed", None
        except LeaseLostError:
            raise
        except Exception as bug:
            self._found([_failure("error", f"{type(bug).__name__}: {bug}", "")])
            return "failed", traceback.format_exc()
        return "complete", None

    def _begin(self) -> tuple[int, int]:
        bench = self.bench
        trial_id, number = bench.store.begin_trial(
            self.lease,
            params=self.drawn,
            distributions={name: optuna_distribution(bench.spec.space[name]) for name in self.drawn},
            configuration=self.configuration.applicable(),
            device=str(bench.device),
        )
        bench.store.begin_attempt(self.lease, trial_id, device=str(bench.device), from_epoch=0)
        bench.emit(
            TrialStarted(
                worker=bench.worker,
                number=number,
                slot=self.lease.slot,
                configuration=self.drawn,
                epochs=self.configuration.epochs,
                resumed=self.lease.trial_id is not None,
            )
        )
        return trial_id, number

    def _train(self) -> None:
        bench, configuration = self.bench, self.configuration
        data = self._data()
        self._keep_statistics(data)
        images, labels = self._probe(data)
        model = build_model(configuration, classes=data.classes, key=self.key / "weights", sample=images).to(
            bench.device
        )
        self.parameters = parameter_count(model)
        watched = bench.spec.checks != "off"
        if watched:
            self._examine(self._check_before(model, images, labels))
        precision = resolve_precision(configuration.precision, bench.device)
        watch = _Watch(bench, self.lease, self.sitter if watched else None)
        for epoch in train(configuration, model, data, self.key, bench.device, precision, watch=watch):
            self._record(epoch)
        self.weights = weights_hash(model)
        if watched:
            best = max(epoch.val_accuracy for epoch in self.curve)
            self._examine(self.sitter.after(best, len(data.val)))

    def _examine(self, findings: Sequence[Finding]) -> None:
        """Record what was found, or raise ``TrialStoppedError`` with what is fatal."""
        fatal = next((finding for finding in findings if finding.severity == "fatal"), None)
        self._found([finding for finding in findings if finding is not fatal])
        if fatal is not None:
            raise TrialStoppedError(fatal)

    def _data(self) -> TrialData:
        bench, configuration = self.bench, self.configuration
        # The split belongs to the study, not to the trial: all trials are judged on the same images.
        rows = split(
            bench.dataset.train_labels,
            configuration.val_fraction,
            configuration.train_images,
            Key(bench.spec.seed) / "split",
        )
        return make_trial_data(configuration, bench.dataset, rows, bench.device)

    def _keep_statistics(self, data: TrialData) -> None:
        """Store what preprocessing learned, so that the trained network can be used on new images."""
        state = {name: part.cpu() for name, part in data.preprocessor.state().items()}
        packed = safetensors.torch.save(state)
        fingerprint = hashlib.sha256(packed).hexdigest()
        self.bench.store.record_statistics(self.lease, self.trial_id, fingerprint, packed)

    def _probe(self, data: TrialData) -> tuple[Tensor, Tensor]:
        """Some training images (n, C, H, W), preprocessed, and their labels (n,), drawn at random."""
        generator = torch.Generator().manual_seed((self.key / "probe").integer())
        positions = torch.randperm(len(data.train), generator=generator)[:PROBE_IMAGES]
        return data.train.batch(positions.to(self.bench.device))

    def _check_before(self, model: nn.Module, images: Tensor, labels: Tensor) -> list[Finding]:
        configuration = self.configuration
        regularized = configuration.weight_decay > 0 or configuration.l1 > 0
        plain = configuration.model_copy(update=UNREGULARIZED)
        return self.sitter.before(
            model,
            images,
            labels,
            penalty=penalty(model, configuration) if regularized else None,
            unregularized=lambda trainee: build_optimizer(trainee, plain),
        )

    def _record(self, epoch: EpochResult) -> None:
        self.curve.append(epoch)
        self.bench.store.record_epoch(self.lease, self.trial_id, EpochRecord(**asdict(epoch)))
        self.bench.emit(
            EpochDone(
                worker=self.bench.worker,
                number=self.number,
                epoch=epoch.epoch,
                epochs=self.configuration.epochs,
                train_loss=epoch.train_loss,
                val_loss=epoch.val_loss,
                val_accuracy=epoch.val_accuracy,
                images_per_second=epoch.images_per_second,
            )
        )
        self.bench.check_stop()

    def _found(self, findings: Sequence[Finding]) -> None:
        self.findings += findings
        records = [
            FindingRecord(
                check=finding.check,
                severity=finding.severity,
                step=finding.step,
                epoch=len(self.curve),
                message=finding.message,
                value=finding.value,
                threshold=finding.threshold,
                remedy=finding.remedy or None,
            )
            for finding in findings
        ]
        self.bench.store.record_findings(self.lease, self.trial_id, records)

    def _finish(self, state: OutcomeState, error: str | None, seconds: float) -> None:
        best = max(self.curve, key=lambda epoch: epoch.val_accuracy, default=None)
        said = verdict(self.findings)
        outcome = Outcome(
            state=state,
            value=best.val_accuracy if best and state == "complete" else None,
            verdict=said.text,
            remedy=said.remedy or None,
            error=error,
            best_epoch=best.epoch if best else None,
            parameters=self.parameters,
            weights_hash=self.weights,
        )
        self.bench.store.finish_trial(self.lease, self.trial_id, outcome)
        self.bench.emit(
            TrialEnded(
                worker=self.bench.worker,
                number=self.number,
                state=state,
                value=outcome.value,
                verdict=said.text,
                seconds=seconds,
            )
        )


class _Watch:
    """What happens every few training steps: renew the lease, look for a signal, read the losses."""

    interval = WATCH_STEPS

    def __init__(self, bench: Workbench, lease: Lease, sitter: Babysitter | None) -> None:
        self._bench = bench
        self._lease = lease
        self._sitter = sitter
        self._renewed = time.monotonic()

    def on_steps(self, step: int, losses: Tensor) -> None:
        """Raises ``TrialStoppedError``, ``StopRequestedError`` or ``LeaseLostError``."""
        self._bench.check_stop()
        now = time.monotonic()
        if now - self._renewed > self._bench.lease_seconds / 3:
            renew(self._bench.store, self._lease)
            self._renewed = now
        finding = self._sitter.during(step, losses) if self._sitter else None
        if finding is not None:
            raise TrialStoppedError(finding)


def _failure(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, "fatal", math.nan, math.nan, message, remedy)
