"""The training loop: tensors in, one result per epoch out. It knows no database, no search and no CLI."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from hpo.randomness import Key
from hpo.spec.configuration import Configuration
from hpo.training.batches import steps_per_epoch, train_batches
from hpo.training.evaluate import evaluate
from hpo.training.memory import within_memory
from hpo.training.optim import StepRegularizer, build_optimizer
from hpo.training.precision import Resolved, autocast
from hpo.training.schedules import learning_rate
from hpo.training.state import TrialData


@dataclass(frozen=True)
class EpochResult:
    """One epoch; losses in nats, accuracies in [0, 1]."""

    epoch: int
    """Counts from 1."""
    train_loss: float
    """Mean over the steps, with label smoothing, augmentation and dropout, without penalties."""
    train_accuracy: float
    val_loss: float
    """Plain cross-entropy on the validation images."""
    val_accuracy: float
    lr: float
    """Of the last step."""
    seconds: float
    """Training and validation."""
    images: int
    """Images trained on."""
    images_per_second: float
    """Training alone, with augmentation."""


class StepWatch(Protocol):
    """Looks at the loss of every step; may raise to stop the training."""

    @property
    def interval(self) -> int:
        """About how many steps pass between two looks."""

    def on_steps(self, step: int, losses: Tensor) -> None:
        """Take the losses (k,) of the last k steps; ``step`` (0-based over all epochs) is the latest."""


def train(
    configuration: Configuration,
    model: nn.Module,
    data: TrialData,
    key: Key,
    device: torch.device,
    precision: Resolved,
    *,
    watch: StepWatch,
    optimizer: Optimizer | None = None,
    start_epoch: int = 0,
) -> Iterator[EpochResult]:
    """Train ``model`` in place on ``device``, yielding after each epoch.

    Order, augmentation and dropout are functions of ``key`` and the epoch: to go on to the same result, the
    weights and the optimizer's state after ``start_epoch`` epochs are all that is needed. torch's global
    generators are seeded at each epoch's start. Raises OutOfMemoryError, and whatever ``watch`` raises.
    """
    training = _Training(configuration, model, data, key, device, precision, watch, optimizer)
    for epoch in range(start_epoch + 1, configuration.epochs + 1):
        yield within_memory(partial(training.epoch, epoch), configuration, device)


class _Training:
    """One model's training: what stays the same from step to step."""

    def __init__(
        self,
        configuration: Configuration,
        model: nn.Module,
        data: TrialData,
        key: Key,
        device: torch.device,
        precision: Resolved,
        watch: StepWatch,
        optimizer: Optimizer | None,
    ) -> None:
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")  # TF32
        self.configuration = configuration
        self.model: nn.Module = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.data = data
        self.key = key
        self.device = device
        self.precision = precision
        self.watch = watch
        self.optimizer = optimizer or build_optimizer(model, configuration)
        self.regularizer = StepRegularizer(model, configuration)
        self.steps = steps_per_epoch(len(data.train), configuration.batch_size)

    def epoch(self, epoch: int) -> EpochResult:
        """Train epoch ``epoch`` (from 1), then evaluate; the host waits for the device only at the end."""
        started = time.perf_counter()
        torch.manual_seed((self.key / "dropout" / epoch).integer())
        self.model.train()
        first = (epoch - 1) * self.steps
        losses = _LossFeed(self.watch, first, self.steps, self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        seen = 0
        for step, (images, labels) in enumerate(self._batches(epoch), first):
            lr = self._set_lr(step)
            loss, logits = self._step(images, labels)
            correct += (logits.argmax(1) == labels).sum()
            losses.add(loss)
            seen += len(labels)
        train_loss = losses.finish()
        train_accuracy = int(correct) / seen
        trained = time.perf_counter()
        validation = evaluate(self.model, self.data.val, self.precision)
        return EpochResult(
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=validation.loss,
            val_accuracy=validation.accuracy,
            lr=lr,
            seconds=time.perf_counter() - started,
            images=seen,
            images_per_second=seen / (trained - started),
        )

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return train_batches(self.configuration, self.data.train, self.key, epoch)

    def _set_lr(self, step: int) -> float:
        lr = learning_rate(self.configuration, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update; the loss () and the logits (B, classes), fp32, detached."""
        with autocast(self.device, self.precision):
            logits = self.model(images)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.configuration.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.regularizer.before_step()
        self.optimizer.step()
        self.regularizer.after_step()
        return loss.detach(), logits.detach()


class _LossFeed:
    """Collects an epoch's losses on the device and hands them to the watch without stopping it.

    From CUDA they are copied to pinned memory in the background, and handed over once they have arrived.
    """

    def __init__(self, watch: StepWatch, first_step: int, steps: int, device: torch.device) -> None:
        self._watch = watch
        self._first_step = first_step
        self._losses = torch.empty(steps, device=device)
        self._taken = 0
        self._sent = 0
        self._under_way: deque[tuple[int, Tensor, torch.cuda.Event]] = deque()

    def add(self, loss: Tensor) -> None:
        """Take the next step's loss ()."""
        self._losses[self._taken] = loss
        self._taken += 1
        if self._taken - self._sent >= self._watch.interval:
            self._send()
        while self._under_way and self._under_way[0][2].query():
            self._deliver()

    def finish(self) -> float:
        """Hand over the rest, and return the mean loss of the epoch."""
        if self._taken > self._sent:
            self._send()
        while self._under_way:
            self._under_way[0][2].synchronize()
            self._deliver()
        return float(self._losses[: self._taken].mean())

    def _send(self) -> None:
        latest = self._losses[self._sent : self._taken]
        self._sent = self._taken
        last_step = self._first_step + self._taken - 1
        if latest.device.type == "cuda":
            arrived = torch.cuda.Event()
            copy = torch.empty(latest.shape, pin_memory=True).copy_(latest, non_blocking=True)
            arrived.record()
            self._under_way.append((last_step, copy, arrived))
        else:
            self._watch.on_steps(last_step, latest)

    def _deliver(self) -> None:
        step, losses, _ = self._under_way.popleft()
        self._watch.on_steps(step, losses)
