"""Passes on to a babysitter what a training shows anyway: batches, forward passes, losses, epochs."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.arguments import check_count, check_task, scalar_loss
from hpo.checks.babysitter import Babysitter
from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.examples import class_labels, examples_of
from hpo.checks.measure.nested import is_readable, mapped, outputs, tensors
from hpo.checks.measure.preflight import LossFunction
from hpo.checks.observations import Task
from hpo.checks.verdict import Verdict
from hpo.config.thresholds import Preset, Thresholds, thresholds_of
from hpo.errors import UserError
from hpo.records import Finding

log = logging.getLogger("hpo.babysitter")

_PART, _CHECKS = "reading of batches and outputs", "checks of the training"
"""What the guard calls them."""


class Options(TypedDict, total=False):
    """The arguments of ``Babysitter`` that a loop itself cannot show."""

    classes: int | None
    task: Task | None
    loss_function: LossFunction | None
    configuration: Mapping[str, Any]
    train_class_counts: Sequence[int]
    val_class_counts: Sequence[int]
    class_names: Sequence[str]
    checks: Preset | Thresholds


def check_options(options: Options) -> None:
    """Raise ``UserError`` for an impossible option."""
    check_task(options.get("task"))
    check_count("classes", options.get("classes"))
    thresholds_of(options.get("checks", "standard"))


@dataclass
class _Pass:
    """What a pass over a loader has shown so far; sums () stay on the device."""

    loss: Tensor | None = None
    losses: int = 0
    correct: Tensor | None = None
    examples: int = 0
    predicted: Tensor | None = None
    """(C,): how many examples were predicted as each class."""

    def add_loss(self, loss: Tensor) -> None:
        self.loss = loss if self.loss is None else self.loss + loss.to(self.loss.device)
        self.losses += 1

    def add_outputs(self, logits: Tensor, labels: Tensor) -> None:
        """Count the right ones of logits (B, C)."""
        named = logits.argmax(1)
        correct = (named == labels.to(named.device)).sum()
        predicted = torch.zeros(logits.shape[1], dtype=torch.int64, device=named.device)
        predicted = predicted.scatter_add(0, named, torch.ones_like(named))
        same = self.predicted is not None and self.predicted.shape == predicted.shape
        self.predicted = self.predicted + predicted if same and self.predicted is not None else predicted
        self.correct = correct if self.correct is None else self.correct + correct
        self.examples += len(labels)

    @property
    def mean_loss(self) -> float:
        """NaN if no loss was told."""
        return math.nan if self.loss is None else float(self.loss) / self.losses

    @property
    def accuracy(self) -> float:
        """NaN if the outputs are not those of a classification."""
        return math.nan if self.correct is None else float(self.correct) / self.examples


@dataclass
class _Batch:
    """The batch that the loop works on."""

    kind: Literal["training", "validation"]
    labels: Any
    given: object
    """As the loader gave it."""
    losses: list[Tensor] = field(default_factory=list)
    is_counted: bool = False
    """Whether its outputs have been counted: a batch may have several forward passes."""


class Feed:
    """The babysitter of one training, fed with what the loop shows.

    The loop's own inputs of the first forward pass are the examples for the checks before training. Several
    losses of a batch count as their sum. Without outputs (B, C) and class labels (B,) there is no accuracy.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer] | None,
        *,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.model = model
        self.babysitter = Babysitter(
            model, optimizer, epochs=epochs, steps_per_epoch=steps_per_epoch, **options
        )
        self.fatal: Finding | None = None
        """The finding that says the training is hopeless."""
        self.is_finished = False
        self._guard = Guard(lambda finding: self.babysitter.findings.append(finding))
        self._batch: _Batch | None = None
        self._awaits_inputs = True
        self._length = steps_per_epoch
        self._has_labels_first: bool | None = None
        """None until the first forward pass shows it."""
        self._is_measuring = False
        self._training = _Pass()
        self._validation = _Pass()
        self._has_epoch = False
        self._is_resumed = False
        """Whether the next pass over the data continues the epoch of another process."""
        self._told = 0
        self._handles: list[RemovableHandle] = []
        with suppress(RuntimeError):  # a scripted model takes no hooks
            self._handles += [
                model.register_forward_pre_hook(Hook(self._guard, _PART, self.on_inputs), with_kwargs=True),
                model.register_forward_hook(Hook(self._guard, _PART, self._on_outputs), with_kwargs=True),
            ]

    def batch(self, batch: object) -> None:
        """Take a training batch, just before the loop works on it."""
        self._batch = _Batch("training", self._labels_of(batch), batch)

    def expect(self, length: int | None) -> None:
        """Take the number of batches of an epoch that begins: as many are expected of those after it."""
        setup = self.babysitter.seen.setup
        if setup.total_steps is None or length is None or length == self._length:
            return
        self._length, epochs, seen = length, setup.epochs or 1, self.babysitter.seen
        total = seen.steps + max(epochs - len(seen.curve), 1) * length
        seen.setup = replace(setup, steps_per_epoch=max(round(total / epochs), 1))

    def begin_validation(self) -> None:
        """Forget an earlier validation of the same epoch."""
        self._validation = _Pass()

    def validation_batch(self, batch: object) -> None:
        """Take a validation batch, just before the loop works on it."""
        self._batch = _Batch("validation", self._labels_of(batch), batch)

    def validation(self, *, loss: float = math.nan) -> None:
        """Take a loss of the validation that was computed elsewhere."""
        if math.isfinite(loss):
            self._validation.loss, self._validation.losses = torch.tensor(loss), 1

    def loss(self, loss: Tensor | float) -> None:
        """Take a loss () of the batch; without gradients it is one of validation. Raises ``UserError``."""
        number = scalar_loss(loss)
        if self._batch is None or self._batch.kind == "validation" or not torch.is_grad_enabled():
            self._validation.add_loss(number)
        else:
            self.babysitter.look_at(loss)
            self._batch.losses.append(number)

    def end_batch(self) -> None:
        """Report the losses of the batch, now that the loop is done with it."""
        batch, self._batch = self._batch, None
        if batch is None or batch.kind == "validation" or not batch.losses:
            return
        loss = torch.stack([each.to(batch.losses[0].device) for each in batch.losses]).sum()
        self._training.add_loss(loss)
        self._has_epoch = True
        self._note(self._guard.run(_CHECKS, lambda: self.babysitter.step(loss, batch.labels), None))

    def begin_epoch(self) -> None:
        """End the epoch before, if any; a resumed epoch goes on instead."""
        if not self._is_resumed:
            self.end_epoch()
        self._is_resumed = False

    def end_epoch(self, metrics: Mapping[str, float] = MappingProxyType({})) -> None:
        """Report the passes over the training data and the validation data since the last call.

        ``metrics`` stand in for what the passes did not show.
        """
        if not self._has_epoch:
            return
        training, validation = self._training, self._validation
        self._training, self._validation, self._has_epoch = _Pass(), _Pass(), False
        self._is_measuring = True
        self._note(self._guard.run(_CHECKS, lambda: self._report(training, validation, metrics), None))
        self._is_measuring = False

    def measured(self) -> dict[str, float]:
        """Return the losses and accuracies of the epoch so far by name, without those that are unknown."""
        shown = _measures(self._training, self._validation)
        return {name: value for name, value in shown.items() if not math.isnan(value)}

    def state(self) -> dict[str, Any]:
        """End the batch; return what the epoch has shown so far, as tensors and numbers."""
        self.end_batch()
        return {"training": vars(self._training).copy(), "has_epoch": self._has_epoch}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue an epoch. The checks before training are left out: they were run when it began."""
        self._awaits_inputs = False
        self._training, self._has_epoch = _Pass(**state["training"]), state["has_epoch"]
        self._is_resumed = self._has_epoch

    def finish(self) -> Verdict:
        """End the last epoch, remove the hooks, and return the verdict on the whole training."""
        if not self.is_finished:
            self.end_batch()
            self.end_epoch()
            self.close()
            nothing: list[Finding] = []
            self._guard.run("checks after training", self.babysitter.after, nothing)
            self._note(None)
        return self.babysitter.verdict()

    def close(self) -> None:
        """Remove the hooks."""
        self.is_finished = True
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.babysitter.close()

    def on_inputs(self, model: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Run the checks before training on the inputs of the first forward pass that learns."""
        batch = self._batch
        if batch is not None and self._has_labels_first is None and not self._is_measuring:
            self._has_labels_first = _has_labels_first(batch.given, (given, named))
            batch.labels = self._labels_of(batch.given)
        if not self._awaits_inputs or self._is_measuring or not torch.is_grad_enabled():
            return
        if batch is None or batch.kind == "validation":
            return
        self._awaits_inputs = False
        labels = batch.labels
        inputs = _as_examples(model, given, named, labels)
        if labels is None and not isinstance(inputs, Tensor):
            return
        self._is_measuring = True
        try:
            with suppress(UserError):  # about inputs without a tensor: nothing to measure
                self.babysitter.before(mapped(inputs, Tensor.detach), mapped(labels, Tensor.detach))
        finally:
            self._is_measuring = False
        self._note(None)

    def _report(self, training: _Pass, validation: _Pass, metrics: Mapping[str, float]) -> Finding | None:
        counts = [] if validation.predicted is None else validation.predicted.tolist()
        shown = _measures(training, validation)
        known: dict[str, Any] = {
            name: metrics.get(name, math.nan) if math.isnan(value) else value for name, value in shown.items()
        }
        return self.babysitter.epoch(
            **known,
            val_images=validation.examples or None,
            val_predicted_counts=counts,
        )

    def _on_outputs(
        self, model: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: object
    ) -> None:
        batch = self._batch
        if batch is None or batch.is_counted or self._is_measuring:
            return
        batch.is_counted = True
        found, labels = outputs(output), class_labels(batch.labels)
        if not found or labels is None or found[0].dim() != 2 or found[0].shape[1] < 2:
            return
        if len(found[0]) == len(labels):
            counted = self._training if batch.kind == "training" else self._validation
            counted.add_outputs(found[0].detach(), labels)

    def _labels_of(self, batch: object) -> Any:
        """Return the labels in a batch of a loader; None if it is not known to have any."""
        if self._has_labels_first and isinstance(batch, (tuple, list)):
            return batch[0]
        return batch if batch is None else examples_of(batch, None).labels

    def _note(self, fatal: Finding | None) -> None:
        """Remember a fatal finding, and log the new findings that are more than notes."""
        self.fatal = self.fatal or fatal
        found = self.babysitter.findings
        for each in found[self._told :]:
            if each.severity in ("warn", "fatal"):
                log.warning("%s", line(each))
        self._told = len(found)


def line(finding: Finding) -> str:
    """Return a finding as one line."""
    layer = f" in {finding.layer}" if finding.layer else ""
    remedy = f" Try: {finding.remedy.text}." if finding.remedy.text else ""
    return f"hpo: {finding.severity} at step {finding.step}{layer}: {finding.message}.{remedy}"


def _has_labels_first(batch: object, passed: object) -> bool:
    """Whether a batch is (labels, inputs, ...): classes that the model is not passed, before what it is.

    Texts often come so. Numbers of examples, which differ from each other, are no classes.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        return False
    first, last = batch[0], batch[-1]
    if not isinstance(first, Tensor) or not isinstance(last, Tensor):
        return False
    classes = class_labels(first)
    if classes is None or len(classes.unique()) == len(classes):
        return False
    return _is_among(last, passed) and not _is_among(first, passed)


def _is_among(tensor: Tensor, passed: object) -> bool:
    """Whether the values of a tensor are passed, in any shape and on any device."""
    return any(
        each is tensor
        or (each.numel() == tensor.numel() and bool((each.flatten().cpu() == tensor.flatten().cpu()).all()))
        for each in tensors(passed)
        if each is tensor or (is_readable(each) and is_readable(tensor))
    )


def _measures(training: _Pass, validation: _Pass) -> dict[str, float]:
    return {
        "train_loss": training.mean_loss,
        "train_accuracy": training.accuracy,
        "val_loss": validation.mean_loss,
        "val_accuracy": validation.accuracy,
    }


def _as_examples(model: nn.Module, given: tuple[Any, ...], named: dict[str, Any], labels: object) -> Any:
    """Return the arguments of a forward pass as ``Babysitter.before`` takes them, without the labels."""
    if len(given) == 1 and not named:
        return given[0]
    try:
        bound = inspect.signature(model.forward).bind(*given, **named).arguments
    except (TypeError, ValueError):
        return given
    return {
        name: each
        for name, each in bound.items()
        if isinstance(each, Tensor) and each.dim() and each is not labels
    }
