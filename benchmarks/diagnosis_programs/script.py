"""The training loop that the programs run in: not hpo's own, but one as it is written by hand."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from machine import images as load_images
from torch import Tensor, nn
from torch.nn import functional as F

from diagnosis_programs.program import CLASSES, Program, Step
from hpo.checks.babysitter import Babysitter
from hpo.config.configuration import Precision
from hpo.data.preprocess import Preprocessor
from hpo.data.split import split
from hpo.records import Finding
from hpo.rng import Key
from hpo.settings import settings
from hpo.training.optim import StepRegularizer
from hpo.training.precision import autocast, resolve_precision

VAL_IMAGES = 1_000
VAL_BATCH = 500
PROBE = 256
CPU = torch.device("cpu")
EPOCH_NUMBERS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


@dataclass
class Curve:
    """The outcome of a training; losses in nats, accuracies in [0, 1], one entry per epoch."""

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    error: str = ""
    """The exception that ended it."""
    fatal_step: int | None = None
    """Steps taken when the babysitter first asked to stop; the training continues anyway."""
    seconds: float = 0.0
    """Training, validation and the babysitter."""

    def last_epoch(self) -> dict[str, float]:
        """The last entry of each list, by name."""
        lists = (self.train_loss, self.train_accuracy, self.val_loss, self.val_accuracy)
        return {name: each[-1] for name, each in zip(EPOCH_NUMBERS, lists, strict=True)}

    @property
    def final_accuracy(self) -> float:
        """Validation accuracy after the last epoch; 0 if the script crashed."""
        return 0.0 if self.error else self.val_accuracy[-1]


@cache
def pixels(train_images: int | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bytes (N, 3, 32, 32) and labels (N,) to train on, then to validate on; the same for every seed.

    A stratified part of CIFAR-10, or of the synthetic images where it is missing.
    """
    dataset = load_images(notice=False)
    share = VAL_IMAGES / len(dataset.train_labels)
    rows = split(dataset.train_labels, dataset.classes, share, train_images, Key(0) / "diagnosis")
    arrays = [
        array[part]
        for part in (rows.train, rows.val)
        for array in (dataset.train_images, dataset.train_labels)
    ]
    train, train_labels, val, val_labels = (torch.from_numpy(array) for array in arrays)
    return train, train_labels, val, val_labels


class Script:
    """One program with one seed, set up to be trained."""

    def __init__(self, program: Program, seed: int, *, watched: bool, precision: Precision) -> None:
        self.program, self.configuration = program, program.configuration
        key = Key(seed) / "diagnosis"
        torch.manual_seed((key / "dropout").integer())
        self.generator = torch.Generator().manual_seed((key / "data").integer())
        self._load()
        self.model = program.build(self.configuration, key, self.images[:PROBE])
        self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = program.optimizer(self.configuration, self.model)
        self.regularizer = StepRegularizer(self.model, self.configuration)
        self.steps_per_epoch = len(list(program.batches(self.configuration, self.labels, self.generator)))
        self.precision = resolve_precision(precision, CPU)
        self.curve = Curve()
        self.sitter = Babysitter(
            self.model,
            self.optimizer,
            classes=CLASSES,
            epochs=self.configuration.epochs,
            steps_per_epoch=self.steps_per_epoch,
            loss_function=self.loss,
            forward=self.forward,
            configuration=self.configuration.applicable(),
            checks="standard" if watched else "off",
        )

    def _load(self) -> None:
        program = self.program
        train, train_labels, val, val_labels = pixels(self.configuration.train_images)
        preprocessor = Preprocessor.fit(self.configuration, train, cache=settings().cache.expanduser())
        chosen = program.choose(train_labels, self.generator)
        self.images = program.prepare_train(preprocessor, train[chosen])
        self.labels = program.train_labels(train_labels[chosen], self.generator)
        self.val_images = program.prepare_val(preprocessor, val)
        self.val_labels = program.val_labels(val_labels, self.generator)

    def forward(self, model: nn.Module, images: Tensor) -> Tensor:
        """Logits (B, 10) float32."""
        with autocast(CPU, self.precision):
            logits: Tensor = model(images.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What is minimized, ()."""
        return self.program.loss(self.configuration, logits, labels)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's images (B, 3, 32, 32) and labels (B,)."""
        for rows in self.program.batches(self.configuration, self.labels, self.generator):
            images = self.program.augment(self.configuration, self.images[rows], self.generator)
            yield images, self.labels[rows]

    def examples(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images and labels as the first batches and the validation have them, for the babysitter."""
        batches = list(itertools.islice(self.batches(), math.ceil(PROBE / self.configuration.batch_size)))
        images, labels = (torch.cat(part)[:PROBE] for part in zip(*batches, strict=True))
        rows = torch.randperm(len(self.val_labels), generator=self.generator)[:PROBE]
        return images, labels, self.val_images[rows], self.val_labels[rows]

    def train(self) -> Curve:
        """Train to the end, whatever the babysitter decides."""
        program, model, curve, sitter = self.program, self.model, self.curve, self.sitter
        started = time.perf_counter()
        self._note(sitter.before(*self.examples()), 0)
        for epoch in range(self.configuration.epochs):
            program.train_mode(model)
            losses, hits = [], []
            for step, (images, labels) in enumerate(self.batches(), epoch * self.steps_per_epoch):
                for group in self.optimizer.param_groups:
                    group["lr"] = program.lr(self.configuration, step, self.steps_per_epoch)
                logits = self.forward(model, images)
                loss = self.loss(logits, labels)
                program.update(Step(loss, self.optimizer, self.regularizer, model))
                self._note([sitter.step(loss, labels)], step + 1)
                losses.append(loss.detach())
                hits.append((logits.argmax(1) == labels).float().mean())
            curve.train_loss.append(float(torch.stack(losses).mean()))
            curve.train_accuracy.append(float(torch.stack(hits).mean()))
            self._validate()
            self._note([sitter.epoch(**curve.last_epoch(), val_images=len(self.val_labels))], step + 1)
        sitter.after()
        curve.seconds = time.perf_counter() - started
        return curve

    def _note(self, findings: Sequence[Finding | None], steps: int) -> None:
        """Remember when the babysitter first asked to stop."""
        asked = any(finding is not None and finding.severity == "fatal" for finding in findings)
        if asked and self.curve.fatal_step is None:
            self.curve.fatal_step = steps

    @torch.no_grad()
    def _validate(self) -> None:
        self.program.eval_mode(self.model)
        logits = torch.cat([self.forward(self.model, part) for part in self.val_images.split(VAL_BATCH)])
        self.curve.val_loss.append(float(F.cross_entropy(logits, self.val_labels)))
        self.curve.val_accuracy.append(float((logits.argmax(1) == self.val_labels).float().mean()))
