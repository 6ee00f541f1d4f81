"""Reproduction of a stored trial: trained again in this process from the same seeds; nothing is written."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hpo import provenance
from hpo.config.configuration import Configuration
from hpo.config.study import own_training_message
from hpo.data.datasets import load_study_images
from hpo.data.split import split_key
from hpo.errors import DeviceError, UserError
from hpo.limits import available_cores
from hpo.queries.trial import Attempt, TrialDetail, trial_detail
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.search.samplers.registry import PURE, sample_slot
from hpo.stages.store import find_stage
from hpo.storage.engine import reading
from hpo.storage.studies import RegisteredStudy, find_registered, results_engine
from hpo.training.data import weights_hash
from hpo.training.device import existing_devices, prepare_process, resolve_device
from hpo.training.loop import train
from hpo.training.network_state import network_state
from hpo.training.precision import Resolved, processor, resolve_precision
from hpo.training.rehearsal import Rehearsal
from hpo.training.setup import prepare

COMPARED = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
"""The numbers of an epoch that are reproducible; its duration is not."""


@dataclass(frozen=True)
class Difference:
    """Something that was different when the trial was trained."""

    what: str
    then: str
    now: str


@dataclass(frozen=True)
class RepeatedEpoch:
    """A repeated epoch, with the numbers that differ: (then, now) by name."""

    epoch: int
    val_accuracy: float
    differences: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Repetition:
    """Whether the whole training is the same; None if the stored trial has nothing to compare."""

    same_curve: bool | None
    same_weights: bool | None
    weights_then: str | None
    weights_now: str | None

    @property
    def matches(self) -> bool:
        """Whether everything that can be compared is the same."""
        return False not in (self.same_curve, self.same_weights)


class Repeat:
    """A stored trial, ready to be trained again with the number of threads and the precision it had.

    ``differences`` are known before the training. Raises ``UnknownStudyError``, ``UserError`` for a trial
    without epochs to compare, and ``DataError`` if its images are not on this machine.
    """

    def __init__(self, url: str, study: str, number: int, device: str | None = None) -> None:
        engine = results_engine(url)
        try:
            self.trial = trial_detail(engine, study, number)
            found = find_registered(engine, study)
            assert found is not None  # trial_detail has just read it
            if found.spec.is_own:
                raise UserError(own_training_message(found.spec, "cannot be repeated outside of a study"))
            with reading(engine) as connection:
                self._stage = find_stage(connection, found.study_id, found.spec, self.trial.stage)
        finally:
            engine.dispose()
        self._study: RegisteredStudy = found
        self._attempt = _last_attempt(self.trial)
        prepare_process(self._attempt.threads or available_cores())
        self.device = _device(device, self._attempt.device)
        self.configuration = Configuration.stored(self.trial.configuration)
        self.precision = _precision(self._attempt, self.configuration, self.device)
        self._dataset = load_study_images(self._study.spec, self._study.dataset)
        self.differences = [each for each in self._differences() if each.then != each.now]
        self.epochs = self._epochs()
        self._model: nn.Module | None = None

    def run(self) -> Iterator[RepeatedEpoch | Repetition]:
        """Train, yielding each epoch as it ends, then the comparison of the whole training."""
        seed = Key(self._study.spec.seed)
        stored = self.configuration.model_copy(update={"precision": self.precision})
        with redirect_stdout(sys.stderr):  # what a user's network prints is not the result
            setup = prepare(
                stored, self._dataset, self._stage.key(self.trial.slot), split_key(seed), self.device,
                self._stage.fold(self.trial.slot),
            )  # fmt: skip
        self._model = setup.model
        epochs = train(setup)
        same = []
        for then in self.trial.curve[: self.epochs]:
            with redirect_stdout(sys.stderr):
                epoch = _compared(then, next(epochs))
            same.append(not epoch.differences)
            yield epoch
        then_hash = self.trial.weights_hash
        now_hash = weights_hash(setup.model) if then_hash else None
        yield Repetition(
            same_curve=all(same) if same else None,
            same_weights=then_hash == now_hash if then_hash else None,
            weights_then=then_hash,
            weights_now=now_hash,
        )

    def explanation(self) -> str:
        """Return why a user's network does not repeat; empty if two trainings of it from one seed agree."""
        if ":" not in self.configuration.model:
            return ""
        with redirect_stdout(sys.stderr):
            rehearsal = Rehearsal(self.configuration, len(self._dataset.classes), self.device)
            was_resumed = len(self.trial.attempts) > 1
            return rehearsal.unrepeatable() or (rehearsal.unresumable() if was_resumed else "")

    def weights(self) -> dict[str, Tensor]:
        """Return the network's state after the epoch that ``run`` yielded last; the next one changes it."""
        assert self._model is not None, "run has not started"
        return network_state(self._model)

    def _epochs(self) -> int:
        """Return the number of epochs of the stored curve before its first gap."""
        count = 0
        while count < len(self.trial.curve) and self.trial.curve[count].epoch == count + 1:
            count += 1
        if count == 0:
            raise UserError(
                f"trial {self.trial.number} of {self.trial.study} has no epochs to compare "
                f"({self.trial.state}{': ' if self.trial.verdict else ''}{self.trial.verdict or ''})"
            )
        return count

    def _differences(self) -> Iterator[Difference]:
        then, now = self._attempt, provenance.running_packages()
        yield Difference("code", then.code_version or _UNKNOWN, provenance.running_code())
        for name, version in (then.package_versions or {}).items():
            yield Difference(name, version, now.get(name, "not installed"))
        yield Difference("device", then.device, str(self.device))
        yield Difference("processor", then.processor or _UNKNOWN, processor(self.device))
        yield Difference("threads", str(then.threads or _UNKNOWN), str(torch.get_num_threads()))
        yield Difference("precision", then.precision or _UNKNOWN, self.precision)
        yield Difference("images", self._study.fingerprint[:12], self._dataset.fingerprint[:12])
        yield from self._different_draws()
        resumed = [each for each in self.trial.attempts if each.from_epoch > 0]
        for each in resumed:
            if each.threads != then.threads or each.precision != then.precision:
                yield Difference(
                    "attempts", f"{len(self.trial.attempts)} with different threads or precision", "1"
                )

    def _different_draws(self) -> Iterator[Difference]:
        """Yield hyperparameters that today's code draws differently; only for samplers that do not learn."""
        spec, then = self._stage.spec.with_fixed(self.trial.given or {}), self.trial.configuration
        if spec.sampler.name not in PURE:
            return
        now = spec.configuration(sample_slot(spec, self.trial.slot), self._study.dataset).applicable()
        for name in spec.space:
            yield Difference(
                f"the draw of {name} (the stored one is trained)", str(then.get(name)), str(now[name])
            )


_UNKNOWN = "not recorded"


def _last_attempt(trial: TrialDetail) -> Attempt:
    if not trial.attempts:
        raise UserError(f"trial {trial.number} of {trial.study} has not been trained yet ({trial.state})")
    return trial.attempts[-1]


def _device(wanted: str | None, then: str) -> torch.device:
    """Return the requested device, else the trial's if this machine has it, else the best one here."""
    if wanted is not None:
        return resolve_device(wanted)
    here = existing_devices()
    return resolve_device(then if then in here or f"{then}:0" in here else "auto")


def _precision(then: Attempt, configuration: Configuration, device: torch.device) -> Resolved:
    """Return the trial's precision if this device supports it, else fp32."""
    wanted: Any = then.precision or configuration.precision
    try:
        return resolve_precision(wanted, device)
    except DeviceError:
        return "fp32"


def _compared(then: EpochResult, now: EpochResult) -> RepeatedEpoch:
    pairs = {name: (float(getattr(then, name)), float(getattr(now, name))) for name in COMPARED}
    differences = {name: pair for name, pair in pairs.items() if not _same(*pair)}
    return RepeatedEpoch(now.epoch, now.val_accuracy, differences)


def _same(then: float, now: float) -> bool:
    """Compare two numbers; the database does not distinguish NaN from infinity."""
    return then == now or not (math.isfinite(then) or math.isfinite(now))
