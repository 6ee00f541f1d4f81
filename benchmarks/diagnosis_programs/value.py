"""What stopping early is worth: a study's random configurations, trained to the end, judged afterwards."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from machine import images as load_images
from torch import Tensor

from diagnosis_programs.judging import Judgment, judged
from diagnosis_programs.runs import keep
from diagnosis_programs.script import Curve
from hpo.checks.babysitter import Babysitter
from hpo.checks.chance import Chance
from hpo.config.parsing.load import load_study
from hpo.config.study import StudySpec
from hpo.config.thresholds import Thresholds
from hpo.rng import Key
from hpo.search.samplers.registry import sample_slot
from hpo.training.loop import train
from hpo.training.setup import prepare
from hpo.trial.callbacks import ChecksCallback, check_before_training, make_babysitter

STUDY = "cifar10_random"
GUESSING_SIGMAS = 4.0
"""A network that guesses gets this far above chance in 1 of 30,000 validations."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """How large the trainings are."""

    images: int
    epochs: int
    width: int

    def __str__(self) -> str:
        return f"{self.images:,} training images, {self.epochs} epochs, width {self.width}"


@dataclass(frozen=True)
class ValueRun:
    """The trial of one slot of the study, never stopped."""

    slot: int
    size: Size

    def path(self, folder: Path) -> Path:
        """Where its curve is kept."""
        size = f"{self.size.images}-{self.size.epochs}-{self.size.width}"
        return folder / "value" / size / f"{self.slot:03}.json"

    def spec(self) -> StudySpec:
        """The study, in this size."""
        spec = load_study(STUDY)
        reduced = {
            "dataset": load_images(notice=False).name,  # the synthetic images where CIFAR-10 is missing
            "train_images": self.size.images,
            "epochs": self.size.epochs,
            "width": self.size.width,
        }
        return spec.model_copy(update={"fixed": {**spec.fixed, **reduced}})

    def train(self, folder: Path) -> None:
        """Train it as ``hpo.trial.run`` does, but to the end, and store the result."""
        babysitter, curve = _watched_training(self.spec(), self.slot)
        keep(self.path(folder), curve, babysitter.seen)


def value_runs(trials: int, size: Size) -> list[ValueRun]:
    """The first slots of the study."""
    return [ValueRun(slot, size) for slot in range(trials)]


class _Observe(ChecksCallback):
    """Shows the babysitter all losses, and stops nothing."""

    def on_steps(self, step: int, losses: Tensor) -> None:
        self._babysitter.steps(losses)


def _watched_training(spec: StudySpec, slot: int) -> tuple[Babysitter, Curve]:
    started = time.perf_counter()
    configuration = spec.configuration(sample_slot(spec, slot))
    key = Key(spec.seed) / "trial" / slot
    setup = prepare(configuration, load_images(notice=False), key, Key(spec.seed) / "split", CPU)
    curve = Curve()
    with make_babysitter(setup, Thresholds()) as babysitter:
        check_before_training(setup, babysitter)
        for epoch in train(setup, [_Observe(babysitter, len(setup.data.val))]):
            curve.train_loss.append(epoch.train_loss)
            curve.train_accuracy.append(epoch.train_accuracy)
            curve.val_loss.append(epoch.val_loss)
            curve.val_accuracy.append(epoch.val_accuracy)
        babysitter.after()
    curve.seconds = time.perf_counter() - started
    return babysitter, curve


@dataclass(frozen=True)
class Value:
    """What stopping early would have done to a set of trials; shares in [0, 1]."""

    trials: int
    hopeless: int
    """Ended at chance, or exploded."""
    stopped_hopeless: int
    saved: float
    """Share of the hopeless trials' steps that would not have been taken."""
    stopped_share: float
    """Mean share of its steps after which a hopeless trial would have been stopped, of those that would."""
    stopped_others: int
    """Trials that would have been stopped though they learned something."""
    stopped_better_half: int
    saved_of_all: float


def value_of(runs: Sequence[ValueRun], folder: Path) -> Value:
    """Judge recorded runs as they would have been stopped."""
    judgments = [judged(run.path(folder)) for run in runs]
    hopeless = [each for each in judgments if is_hopeless(each)]
    others = [each for each in judgments if not is_hopeless(each)]
    ranked = sorted(judgments, key=lambda each: -max(each.curve.val_accuracy))
    caught = [each.stopped_at for each in hopeless if each.stopped_at is not None]
    return Value(
        trials=len(judgments),
        hopeless=len(hopeless),
        stopped_hopeless=len(caught),
        saved=_saved(hopeless),
        stopped_share=sum(caught) / len(caught) if caught else float("nan"),
        stopped_others=sum(each.stopped_at is not None for each in others),
        stopped_better_half=sum(each.stopped_at is not None for each in ranked[: len(ranked) // 2]),
        saved_of_all=_saved(judgments),
    )


def is_hopeless(judgment: Judgment) -> bool:
    """Ended with an accuracy that guessing reaches, or with a loss that is not a number."""
    curve, seen = judgment.curve, judgment.seen
    assert seen.val_images is not None
    limit = Chance(1 / seen.setup.classes, seen.val_images).limit(GUESSING_SIGMAS)
    return not math.isfinite(curve.train_loss[-1]) or curve.val_accuracy[-1] <= limit


def _saved(judgments: Sequence[Judgment]) -> float:
    kept = [1 - each.stopped_at for each in judgments if each.stopped_at is not None]
    return sum(kept) / len(judgments) if judgments else float("nan")
