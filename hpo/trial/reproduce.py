"""Reproduction of a stored trial: trained again in this process from the same seeds; nothing is written."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hpo import provenance
from hpo.config.configuration import Configuration
from hpo.config.objective import Objective
from hpo.data.split import split_key
from hpo.errors import DeviceError, UserError
from hpo.limits import available_cores
from hpo.queries.trial import Attempt, TrialDetail, trial_detail
from hpo.records import LATER_MEASURES, MEASURES, EpochResult
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
from hpo.training.setup import TrialSetup, prepare
from hpo.training.study_images import load_registered_images
from hpo.training.users_metric import UsersMetric


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
    value: float
    """Of the study's objective, as it is now."""


@dataclass(frozen=True)
class Repetition:
    """Whether the whole training is the same; None if the stored trial has nothing to compare."""

    same_curve: bool | None
    same_weights: bool | None
    weights_then: str | None
    weights_now: str | None
    same_value: bool | None = None
    """Whether the trial's value is the same; None for the built-in training, whose curve has it."""
    value_then: float | None = None
    value_now: float | None = None
    failure: str = ""
    """Why the training did not end as it did then; empty if it did."""

    @property
    def matches(self) -> bool:
        """Whether everything that can be compared is the same."""
        return not self.failure and False not in (self.same_curve, self.same_weights, self.same_value)


class StoredTraining:
    """A stored trial, about to be trained again with the number of threads that it had.

    ``differences`` are known before the training. Raises ``UnknownStudyError``, and ``UserError`` for a trial
    that was not trained.
    """

    def __init__(self, url: str, study: str, number: int, device: str | None = None) -> None:
        engine = results_engine(url)
        try:
            self.trial = trial_detail(engine, study, number)
            found = find_registered(engine, study)
            assert found is not None  # trial_detail has just read it
            with reading(engine) as connection:
                self._stage = find_stage(connection, found.study_id, found.spec, self.trial.stage)
        finally:
            engine.dispose()
        self._study: RegisteredStudy = found
        self._attempt = _last_attempt(self.trial)
        prepare_process(self._attempt.threads or available_cores())
        self.device = _device(device, self._attempt.device)

    @property
    def differences(self) -> list[Difference]:
        """What is different now; bits are the same only if nothing is."""
        return [each for each in self._compared() if each.then != each.now]

    def _compared(self) -> Iterator[Difference]:
        then, now = self._attempt, provenance.running_packages()
        yield Difference("code", then.code_version or _UNKNOWN, provenance.running_code())
        for name, version in (then.package_versions or {}).items():
            yield Difference(name, version, now.get(name, "not installed"))
        yield Difference("device", then.device, str(self.device))
        yield Difference("processor", then.processor or _UNKNOWN, processor(self.device))
        yield Difference("threads", str(then.threads or _UNKNOWN), str(torch.get_num_threads()))
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
        now = spec.configuration(sample_slot(spec, self.trial.slot), self._study.images).applicable()
        for name in spec.space:
            yield Difference(
                f"the draw of {name} (the stored one is trained)", str(then.get(name)), str(now.get(name))
            )

    def _stored_epochs(self) -> int:
        """Return the number of epochs of the stored curve before its first gap."""
        count = 0
        while count < len(self.trial.curve) and self.trial.curve[count].epoch == count + 1:
            count += 1
        return count

    def _nothing_to_compare(self) -> UserError:
        trial = self.trial
        return UserError(
            f"trial {trial.number} of {trial.study} has no epochs to compare "
            f"({trial.state}{': ' if trial.verdict else ''}{trial.verdict or ''})"
        )


class Repeat(StoredTraining):
    """A stored trial of the built-in training, about to be trained again with the precision that it had.

    Raises also ``UserError`` for a trial without epochs to compare, and ``DataError`` if its images are not
    on this machine.
    """

    def __init__(self, url: str, study: str, number: int, device: str | None = None) -> None:
        super().__init__(url, study, number, device)
        self.configuration = Configuration.stored(self.trial.configuration)
        self.precision = _precision(self._attempt, self.configuration, self.device)
        self._dataset = load_registered_images(self._study)
        self.epochs = self._stored_epochs()
        if self.epochs == 0:
            raise self._nothing_to_compare()
        self._setup: TrialSetup | None = None

    def run(self) -> Iterator[RepeatedEpoch | Repetition]:
        """Train, yielding each epoch as it ends, then the comparison of the whole training."""
        seed = Key(self._study.spec.seed)
        stored = self.configuration.model_copy(update={"precision": self.precision})
        with redirect_stdout(sys.stderr):  # what a user's network prints is not the result
            setup = prepare(
                stored, self._dataset, self._stage.key(self.trial.slot), split_key(seed), self.device,
                self._stage.fold(self.trial.slot),
            )  # fmt: skip
        self._setup = setup = replace(setup, own_metric=UsersMetric.of(self._study.spec))
        epochs = train(setup)
        same = []
        for then in self.trial.curve[: self.epochs]:
            with redirect_stdout(sys.stderr):
                epoch = compared(then, next(epochs), self.trial.goal)
            same.append(not epoch.differences)
            yield epoch
        then_hash = self.trial.weights_hash
        now_hash = weights_hash(setup.judged) if then_hash else None
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
            dataset = self._dataset
            rehearsal = Rehearsal(self.configuration, len(dataset.classes), dataset.image_shape, self.device)
            was_resumed = len(self.trial.attempts) > 1
            return rehearsal.unrepeatable() or (rehearsal.unresumable() if was_resumed else "")

    def weights(self) -> dict[str, Tensor]:
        """Return the network's state after the epoch that ``run`` yielded last; the next one changes it."""
        assert self._setup is not None, "run has not started"
        return network_state(self._setup.judged)

    def _compared(self) -> Iterator[Difference]:
        yield from super()._compared()
        yield Difference("precision", self._attempt.precision or _UNKNOWN, self.precision)
        yield Difference("images", self._study.fingerprint[:12], self._dataset.fingerprint[:12])


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


def compared(then: EpochResult, now: EpochResult, goal: Objective) -> RepeatedEpoch:
    """Compare an epoch with the stored one, by every metric but its duration."""
    names = [*MEASURES, *sorted({*then.metrics, *now.metrics})]
    pairs = {name: (then.metric(name), now.metric(name)) for name in names}
    # A trial of before they were recorded has none of them.
    pairs = {name: each for name, each in pairs.items() if name not in LATER_MEASURES or each[0] == each[0]}
    differences = {name: pair for name, pair in pairs.items() if not is_same(*pair)}
    return RepeatedEpoch(now.epoch, now.val_accuracy, differences, goal.of(now))


def is_same(then: float, now: float) -> bool:
    """Compare two numbers; the database does not distinguish NaN from infinity."""
    return then == now or not (math.isfinite(then) or math.isfinite(now))
