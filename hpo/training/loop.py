"""The training loop of images: tensors in, one result per epoch out. It knows no database and no search."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.heartbeat import beat
from hpo.records import EpochResult
from hpo.training.batches import EpochBatches
from hpo.training.callbacks import Callback
from hpo.training.device import translating_oom
from hpo.training.evaluate import evaluate
from hpo.training.forward import logits_of
from hpo.training.generators import generator_states, restore_generators, seed_generators
from hpo.training.optim import StepRegularizer, set_learning_rate
from hpo.training.schedules import learning_rate
from hpo.training.setup import TrialSetup
from hpo.training.state import EpochState
from hpo.training.stem import StemSchedule


def train(
    setup: TrialSetup, callbacks: Sequence[Callback] = (), start: EpochState | None = None
) -> Iterator[EpochResult]:
    """Train the model in place, yielding after each epoch; ticks the heartbeat at each step and batch.

    Order, augmentation and dropout are functions of the key and the epoch; the global generators of PyTorch,
    NumPy and Python are seeded at each epoch's start. To resume to the same result, restore the weights and
    the states of optimizer and average of a moment, and pass the ``start`` that ``Callback.save`` was given
    then (``EpochState(n)`` is the start of epoch n). Raises ``OutOfMemoryError``, ``ConfigurationError`` if
    the network does not return logits, and whatever the callbacks raise.
    """
    state = start or EpochState()
    for callback in callbacks:
        callback.on_train_start(state)
    training = _Training(setup, callbacks)
    while state.epoch <= setup.configuration.epochs:
        result = translating_oom(partial(training.epoch, state), setup.configuration, setup.device)
        for callback in callbacks:
            callback.on_epoch_end(result)
        yield result
        state = EpochState(state.epoch + 1)


class _Training:
    """One model's training: what stays the same from step to step."""

    def __init__(self, setup: TrialSetup, callbacks: Sequence[Callback]) -> None:
        if setup.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")  # TF32
        self.setup = setup
        self.callbacks = callbacks
        self.regularizer = StepRegularizer(setup.model, setup.configuration)
        self.stem = StemSchedule(setup.model, setup.configuration)
        self.steps = setup.steps_per_epoch
        self._weights = setup.class_weights()

    def epoch(self, start: EpochState) -> EpochResult:
        """Train an epoch from ``start``, then evaluate; the host waits for the device only at the end."""
        steps = _EpochSteps(self, start)
        train_loss, train_accuracy = steps.run()
        evaluated = time.perf_counter()
        setup = self.setup
        setup.average.end_epoch(start.epoch)
        validation = evaluate(
            setup.judged,
            setup.data.val,
            setup.precision,
            steps.save_if_due,
            setup.own_metric,
            int(setup.configuration.eval_views),
        )
        values = validation.values
        return EpochResult(
            epoch=start.epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=values["val_loss"],
            val_accuracy=values["val_accuracy"],
            val_balanced_accuracy=values["val_balanced_accuracy"],
            val_macro_f1=values["val_macro_f1"],
            val_auc=values["val_auc"],
            lr=learning_rate(setup.configuration, start.epoch * self.steps - 1, self.steps),
            seconds=steps.seconds + time.perf_counter() - evaluated,
            images=steps.images,
            images_per_second=steps.images / steps.seconds,
            val_predicted_counts=validation.predicted_counts,
            val_confusion=validation.confusion,
            metrics=validation.own,
        )

    def step(self, step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Make update ``step`` (0-based over all); return loss () and logits (B, classes), fp32, detached."""
        setup = self.setup
        lr = learning_rate(setup.configuration, step, self.steps)
        set_learning_rate(setup.optimizer, lr)
        logits = logits_of(setup.model, images, setup.device, setup.precision, setup.data.classes)
        smoothing = setup.configuration.label_smoothing
        loss = F.cross_entropy(logits, labels, self._weights, label_smoothing=smoothing)
        setup.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.stem.drop_gradients(step // self.steps + 1)
        self.regularizer.before_step()
        setup.optimizer.step()
        self.regularizer.after_step()
        setup.average.after_step(step + 1, self.steps)
        return loss.detach(), logits.detach()


class _EpochSteps:
    """The steps of one epoch, and the sums over them."""

    def __init__(self, training: _Training, start: EpochState) -> None:
        setup = training.setup
        self._training = training
        self._setup = setup
        self._start = start
        self._first = (start.epoch - 1) * training.steps
        self._batches = EpochBatches(
            setup.configuration,
            setup.data.train,
            setup.key,
            start.epoch,
            start.steps,
            start.augmentation,
            classes=setup.data.classes,
        )
        self._losses = _LossFeed(training, self._first, start)
        self._correct = torch.tensor(start.correct, device=setup.device)
        self._done = start.steps
        self._running = True
        self._began = time.perf_counter()
        self.seconds = start.seconds
        """Training time, including that of earlier workers."""
        self.images = training.steps * min(setup.configuration.batch_size, len(setup.data.train))

    def run(self) -> tuple[float, float]:
        """Train to the end of the epoch; return the mean loss and the accuracy."""
        training, setup = self._training, self._setup
        seed_generators((setup.key / "dropout" / self._start.epoch).integer())
        if self._start.generators:
            restore_generators(self._start.generators, setup.device)
        setup.model.train()
        for done, (images, labels) in enumerate(self._batches, self._start.steps + 1):
            loss, logits = training.step(self._first + done - 1, images, labels)
            answers = labels if labels.ndim == 1 else labels.argmax(1)  # soft ones of mixed images
            self._correct += (logits.argmax(1) == answers).sum()
            self._losses.add(loss)
            self._done = done
            beat()
            self.save_if_due()
        loss_mean = self._losses.finish()
        accuracy = int(self._correct) / self.images
        self.seconds += time.perf_counter() - self._began
        self._running = False
        return loss_mean, accuracy

    def save_if_due(self) -> None:
        """Call ``save`` of the callbacks that want it now; also called within the evaluation."""
        due = [callback for callback in self._training.callbacks if callback.should_save()]
        if due:
            self._losses.deliver_all()
            state = self._state(self._done)
            for callback in due:
                callback.save(state)

    def _state(self, steps: int) -> EpochState:
        return EpochState(
            epoch=self._start.epoch,
            steps=steps,
            losses=self._losses.so_far(),
            watched=self._losses.sent,
            correct=int(self._correct),
            seconds=self.seconds + (time.perf_counter() - self._began if self._running else 0.0),
            augmentation=self._batches.augmentation_at(steps),
            generators=generator_states(self._setup.device),
        )


class _LossFeed:
    """Collects an epoch's losses on the device and hands them to the callbacks without stopping it.

    From CUDA they are copied to pinned memory in the background, and handed over once they have arrived.
    """

    def __init__(self, training: _Training, first_step: int, start: EpochState) -> None:
        self._callbacks = training.callbacks
        wanted = [each.loss_interval for each in training.callbacks if each.loss_interval is not None]
        self._interval = min(wanted, default=sys.maxsize)
        self._first_step = first_step
        self._losses = torch.empty(training.steps, device=training.setup.device)
        self._losses[: start.steps] = start.losses
        self._count = start.steps
        self.sent = start.watched
        """The number of losses that the callbacks have, or that are on their way to them."""
        self._under_way: deque[tuple[int, Tensor, torch.cuda.Event]] = deque()

    def add(self, loss: Tensor) -> None:
        """Add the next step's loss ()."""
        self._losses[self._count] = loss
        self._count += 1
        if self._count - self.sent >= self._interval:
            self._send()
        while self._under_way and self._under_way[0][2].query():
            self._deliver()

    def finish(self) -> float:
        """Hand over the rest, and return the mean loss of the epoch."""
        if self._count > self.sent:
            self._send()
        self.deliver_all()
        return float(self._losses.mean())

    def so_far(self) -> Tensor:
        """Return the losses so far (k,), on the CPU."""
        return self._losses[: self._count].cpu().clone()

    def deliver_all(self) -> None:
        """Wait for the losses that are on their way, and hand them over."""
        while self._under_way:
            self._under_way[0][2].synchronize()
            self._deliver()

    def _send(self) -> None:
        latest = self._losses[self.sent : self._count]
        self.sent = self._count
        last_step = self._first_step + self._count - 1
        if latest.device.type == "cuda":
            arrived = torch.cuda.Event()
            copy = torch.empty(latest.shape, pin_memory=True).copy_(latest, non_blocking=True)
            arrived.record()
            self._under_way.append((last_step, copy, arrived))
        else:
            self._hand_over(last_step, latest)

    def _deliver(self) -> None:
        step, losses, _ = self._under_way.popleft()
        self._hand_over(step, losses)

    def _hand_over(self, step: int, losses: Tensor) -> None:
        for callback in self._callbacks:
            callback.on_steps(step, losses)
