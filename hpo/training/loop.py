"""The training loop: tensors in, one result per epoch out. It knows no database, no search and no CLI."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from hpo.config.configuration import Configuration
from hpo.heartbeat import beat
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.training.batches import EpochBatches, steps_per_epoch
from hpo.training.data import TrialData
from hpo.training.device import translating_oom
from hpo.training.evaluate import evaluate
from hpo.training.optim import StepRegularizer, build_optimizer
from hpo.training.precision import Resolved, autocast
from hpo.training.schedules import learning_rate
from hpo.training.state import CheckpointHook, EpochState, generator_states, restore_generators


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
    start: EpochState | None = None,
    keeper: CheckpointHook | None = None,
) -> Iterator[EpochResult]:
    """Train ``model`` in place on ``device``, yielding after each epoch.

    Order, augmentation and dropout are functions of ``key`` and the epoch; torch's global generators are
    seeded at each epoch's start. To go on to the same result, give the weights and the optimizer's state of
    a moment, and the ``start`` that ``keeper`` was given then (``EpochState(n)`` at the start of epoch n).
    Raises OutOfMemoryError, and whatever ``watch`` and ``keeper`` raise.
    """
    training = _Training(configuration, model, data, key, device, precision, watch, keeper, optimizer)
    state = start or EpochState()
    while state.epoch <= configuration.epochs:
        yield translating_oom(partial(training.epoch, state), configuration, device)
        state = EpochState(state.epoch + 1)


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
        keeper: CheckpointHook | None,
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
        self.keeper = keeper
        self.optimizer = optimizer or build_optimizer(model, configuration)
        self.regularizer = StepRegularizer(model, configuration)
        self.steps = steps_per_epoch(len(data.train), configuration.batch_size)

    def epoch(self, start: EpochState) -> EpochResult:
        """Train an epoch from ``start`` on, then evaluate; the host waits for the device only at the end."""
        steps = _EpochSteps(self, start)
        train_loss, train_accuracy = steps.run()
        evaluated = time.perf_counter()
        validation = evaluate(self.model, self.data.val, self.precision, steps.keep_if_due)
        return EpochResult(
            epoch=start.epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=validation.loss,
            val_accuracy=validation.accuracy,
            lr=learning_rate(self.configuration, start.epoch * self.steps - 1, self.steps),
            seconds=steps.seconds + time.perf_counter() - evaluated,
            images=steps.images,
            images_per_second=steps.images / steps.seconds,
        )

    def step(self, step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update ``step``, 0-based over all; the loss () and the logits (B, classes), fp32, detached."""
        lr = learning_rate(self.configuration, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
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


class _EpochSteps:
    """The steps of one epoch, and what is summed over them."""

    def __init__(self, training: _Training, start: EpochState) -> None:
        self._training = training
        self._start = start
        self._first = (start.epoch - 1) * training.steps
        self._batches = EpochBatches(
            training.configuration,
            training.data.train,
            training.key,
            start.epoch,
            start.steps,
            start.augmentation,
        )
        self._losses = _LossFeed(training.watch, self._first, training.steps, training.device, start)
        self._correct = torch.tensor(start.correct, device=training.device)
        self._done = start.steps
        self._running = True
        self._began = time.perf_counter()
        self.seconds = start.seconds
        """Spent on training, by whoever trained it."""
        self.images = training.steps * min(training.configuration.batch_size, len(training.data.train))

    def run(self) -> tuple[float, float]:
        """Mean loss and accuracy."""
        training = self._training
        torch.manual_seed((training.key / "dropout" / self._start.epoch).integer())
        if self._start.generators:
            restore_generators(self._start.generators, training.device)
        training.model.train()
        for done, (images, labels) in enumerate(self._batches, self._start.steps + 1):
            loss, logits = training.step(self._first + done - 1, images, labels)
            self._correct += (logits.argmax(1) == labels).sum()
            self._losses.add(loss)
            self._done = done
            beat()
            self.keep_if_due()
        loss_mean = self._losses.finish()
        accuracy = int(self._correct) / self.images
        self.seconds += time.perf_counter() - self._began
        self._running = False
        return loss_mean, accuracy

    def keep_if_due(self) -> None:
        """Let the keeper have the state after the last step, if it wants it: also within the evaluation."""
        keeper = self._training.keeper
        if keeper is not None and keeper.is_due():
            self._losses.deliver_all()
            keeper.keep(self._state(self._done))

    def _state(self, steps: int) -> EpochState:
        return EpochState(
            epoch=self._start.epoch,
            steps=steps,
            losses=self._losses.taken(),
            watched=self._losses.watched,
            correct=int(self._correct),
            seconds=self.seconds + (time.perf_counter() - self._began if self._running else 0.0),
            augmentation=self._batches.augmentation_at(steps),
            generators=generator_states(self._training.device),
        )


class _LossFeed:
    """Collects an epoch's losses on the device and hands them to the watch without stopping it.

    From CUDA they are copied to pinned memory in the background, and handed over once they have arrived.
    """

    def __init__(
        self, watch: StepWatch, first_step: int, steps: int, device: torch.device, start: EpochState
    ) -> None:
        self._watch = watch
        self._first_step = first_step
        self._losses = torch.empty(steps, device=device)
        self._losses[: start.steps] = start.losses
        self._taken = start.steps
        self._sent = start.watched
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
        self.deliver_all()
        return float(self._losses.mean())

    @property
    def watched(self) -> int:
        """How many losses are the watch's, or on the way to it."""
        return self._sent

    def taken(self) -> Tensor:
        """The losses so far (k,), on the CPU."""
        return self._losses[: self._taken].cpu().clone()

    def deliver_all(self) -> None:
        """Wait for the losses on the way, and hand them over."""
        while self._under_way:
            self._under_way[0][2].synchronize()
            self._deliver()

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
