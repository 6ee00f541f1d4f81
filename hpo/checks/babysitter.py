"""Babysitter: watches a training loop that it does not own, and says what goes wrong, why, and what to do.

It measures (``seen``) and reports; it never stops anything itself. Source of the idea: CS231n lecture 6,
"babysitting the learning process".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.base import Finding
from hpo.checks.judge import LOOK_STEPS, Judge
from hpo.checks.measure.audit import StepAuditor
from hpo.checks.measure.inputs import ForwardMonitor
from hpo.checks.measure.preflight import SNAPSHOT_IMAGES, Examples, LossFunction, examine
from hpo.checks.measure.probes import (
    Forward,
    PendingSnapshot,
    Probe,
    StepMeter,
    WeightMotion,
    layer_weights,
    plain_forward,
)
from hpo.checks.measure.setup import penalty, read_setup
from hpo.checks.observations import EpochFacts, ModeGap, Observations, Snapshot
from hpo.checks.state import BabysitterState
from hpo.checks.verdict import Verdict, verdict
from hpo.config.thresholds import Preset, Thresholds, thresholds_of

_FIRST_SNAPSHOTS = (0, 8, 32)
"""0-based steps."""
_SNAPSHOTS = {"off": 1, "standard": 8, "full": 40}
"""About how many more over a training of known length; each costs about half a step."""
_CLOSEST, _WIDEST = {"off": 48, "standard": 48, "full": 10}, 500
_BATCHES_COUNTED = 20


class Babysitter:
    """Watches one training of ``model`` by ``optimizer``.

    ``epochs`` and ``steps_per_epoch`` let it judge what can still be reached; ``loss_function(logits,
    labels)`` is tried on outputs whose loss is known; ``forward(model, images)`` is how the loop runs the
    model, if not plainly; ``configuration`` (fields of ``Configuration``) makes remedies concrete. ``checks``
    is a preset or ``Thresholds``. A complete loop is in docs/checks.md.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        classes: int,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        loss_function: LossFunction | None = None,
        forward: Forward | None = None,
        configuration: Mapping[str, Any] | None = None,
        checks: Preset | Thresholds = "standard",
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._loss_function = loss_function
        self._forward = forward or plain_forward
        self._limits = thresholds_of(checks)
        self._judge = Judge(self._limits)
        self.seen = Observations(
            read_setup(
                model,
                optimizer,
                classes=classes,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                settings=configuration or {},
            )
        )
        """Every number that the checks read; ``hpo.checks.judge.replay`` judges them again."""
        self.findings: list[Finding] = []
        """What was found so far, in order."""
        self._probe: Probe | None = None
        self._motion: WeightMotion | None = None
        self._losses: list[Tensor] = []
        self._classes_of_batches: list[Tensor] = []
        self._pending: list[PendingSnapshot] = []
        self._feed = ForwardMonitor(model, optimizer)
        self._meter = StepMeter(model)
        self._auditor: StepAuditor | None = None
        self._handles: list[RemovableHandle] = []
        if self._limits.watch:
            self._listen()

    def __enter__(self) -> Babysitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the hooks off the model and the optimizer."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._auditor is not None:
            self._auditor.close()

    def before(
        self,
        images: Tensor,
        labels: Tensor,
        val_images: Tensor | None = None,
        val_labels: Tensor | None = None,
        *,
        penalty: float | None = None,
    ) -> list[Finding]:
        """Check everything once before training; model and random generators stay as they are.

        ``images`` (n, C, H, W) and ``labels`` (n,) are a few dozen to hundreds of training examples as the
        network will get them, ``val_*`` the same for validation; ``penalty`` is what regularization adds to
        the loss, if it is known.
        """
        if not self._limits.watch:
            return []
        val = None if val_images is None or val_labels is None else Examples(val_images, val_labels)
        train = Examples(images, labels)
        with self._feed.paused():
            self.seen.preflight = examine(
                self._model,
                self._optimizer,
                train,
                val,
                classes=self.seen.setup.classes,
                forward=self._forward,
                loss_function=self._loss_function,
                penalty=self._penalty() if penalty is None else penalty,
                thorough=self._limits.thorough,
            )
        self._watch_layers_on(train)
        return self._add(self._judge.before(self.seen))

    def remember(self) -> BabysitterState:
        """What a babysitter of the same training needs to go on; for a loop that reports by ``steps``."""
        self._look(None)
        return BabysitterState(self.seen, self.findings, self._judge.said, self._feed.state())

    def go_on(self, memory: BabysitterState, images: Tensor, labels: Tensor) -> None:
        """Be the babysitter that gave ``memory``, instead of ``before``, with the same examples."""
        if not self._limits.watch:
            return
        self.seen, self.findings = memory.seen, memory.findings
        self._judge.said = memory.said
        if self._auditor is not None and self.seen.optimizer_steps:
            self._auditor.close()
        self._feed.restore(memory.feed)
        self._watch_layers_on(Examples(images, labels))

    def step(self, loss: Tensor | float, labels: Tensor | None = None) -> Finding | None:
        """Take the loss () of a step that was made; a finding that is returned says: stop, it is hopeless.

        ``labels`` (B,) of the batch, if given, are checked for its composition. Nothing waits for the device
        but every LOOK_STEPS steps.
        """
        if not self._limits.watch:
            return None
        self._losses.append(torch.as_tensor(loss).detach())
        if self._auditor is not None:
            self._auditor.reported(self._losses[-1], labels)
        if (
            labels is not None
            and len(self.seen.batch_classes) + len(self._classes_of_batches) < _BATCHES_COUNTED
        ):
            counts = torch.bincount(labels.clamp(min=0), minlength=self.seen.setup.classes)
            self._classes_of_batches.append(counts.count_nonzero())
            self.seen.batch_labels = max(self.seen.batch_labels, len(labels))
        if len(self._losses) < LOOK_STEPS:
            return None
        return self.steps(torch.stack(self._take_losses()))

    def steps(self, losses: Tensor) -> Finding | None:
        """Take the losses (k,) of k steps at once; the rest as ``step``."""
        if not self._limits.watch:
            return None
        self._look(losses)
        return self._fatal(self._add(self._judge.during(self.seen)))

    def epoch(
        self,
        *,
        train_loss: float = math.nan,
        train_accuracy: float = math.nan,
        val_loss: float = math.nan,
        val_accuracy: float = math.nan,
        val_images: int | None = None,
    ) -> Finding | None:
        """Take the numbers of an epoch that has ended (losses in nats, accuracies in [0, 1]); as ``step``."""
        if not self._limits.watch:
            return None
        waiting = self._take_losses()
        self._look(torch.stack(waiting) if waiting else None)
        number = len(self.seen.curve) + 1
        self.seen.val_images = val_images or self.seen.val_images
        self.seen.curve.append(
            EpochFacts(number, self.seen.steps, train_loss, train_accuracy, val_loss, val_accuracy)
        )
        self._compare_modes(number)
        self._feed.expect()
        return self._fatal(self._add(self._judge.during(self.seen)))

    def after(self) -> list[Finding]:
        """Judge the whole training, which has ended; takes the hooks off."""
        self.close()
        if not self._limits.watch:
            return []
        self.seen.ended = True
        return self._add(self._judge.after(self.seen))

    def verdict(self) -> Verdict:
        """What the findings add up to."""
        return verdict(self.findings)

    @property
    def layers(self) -> Sequence[Snapshot]:
        """Layer statistics so far."""
        return self.seen.snapshots

    def _watch_layers_on(self, train: Examples) -> None:
        probe = train.first(SNAPSHOT_IMAGES)
        last = self.seen.setup.classes - 1
        self._probe = Probe(self._model, self._forward, probe.images, probe.labels.clamp(0, last))

    def _penalty(self) -> float | None:
        """What weight decay and L1 add to the loss, as far as the optimizer and the configuration tell."""
        decay, l1 = self.seen.setup.weight_decay, float(self.seen.setup.settings.get("l1") or 0.0)
        if decay == 0 and l1 == 0:
            return None
        return penalty(list(layer_weights(self._model).values()), decay, l1)

    def _listen(self) -> None:
        self._auditor = StepAuditor(
            self._model, self._optimizer, self.seen.setup.classes, lambda: self._feed.is_paused
        )
        self._handles = [
            self._optimizer.register_step_pre_hook(lambda *_: self._before_step()),
            self._optimizer.register_step_post_hook(lambda *_: self._after_step()),
            self._feed.attach(),
        ]
        self._feed.expect()

    def _before_step(self) -> None:
        if self._is_chosen(self.seen.optimizer_steps):
            self._meter.before()
        self._feed.before_step()
        if self._auditor is not None:
            self._auditor.before_step()

    def _after_step(self) -> None:
        if self._auditor is not None:
            self._auditor.after_step()
        step = self.seen.optimizer_steps
        self.seen.optimizer_steps += 1
        if self._probe is not None and self._is_chosen(step):
            motion = self._meter.after()
            lr = float(self._optimizer.param_groups[0]["lr"])
            with self._feed.paused():
                histograms = self._takes_histograms(step)
                self._pending.append(self._probe.snapshot(step, lr, motion, histograms=histograms))
        self._feed.after_step(step)

    def _is_chosen(self, step: int) -> bool:
        return step in _FIRST_SNAPSHOTS or (step + 1) % self._interval() == 0

    def _takes_histograms(self, step: int) -> bool:
        """Of a chosen step: in the first looks, then each time twice as far, and at the end."""
        interval, total = self._interval(), self.seen.setup.total_steps
        looks = (step + 1) // interval
        is_last = total is not None and step + interval >= total
        return step in _FIRST_SNAPSHOTS or is_last or looks & (looks - 1) == 0

    def _interval(self) -> int:
        """Steps from a look at the layers to the next."""
        total, preset = self.seen.setup.total_steps, self._limits.preset
        closest = _CLOSEST[preset]
        return 2 * closest if total is None else min(max(total // _SNAPSHOTS[preset], closest), _WIDEST)

    def _take_losses(self) -> list[Tensor]:
        waiting, self._losses = self._losses, []
        return waiting

    def _look(self, losses: Tensor | None) -> None:
        """Bring over what has gathered on the device."""
        seen = self.seen
        if losses is not None:
            fresh = losses.detach().float().cpu().numpy().astype(np.float64)
            seen.losses = np.concatenate([seen.losses, fresh])
        seen.snapshots += [pending.read() for pending in self._pending]
        self._pending = []
        seen.fed += self._feed.read()
        if self._auditor is not None:
            seen.audits += self._auditor.read()
        if self._classes_of_batches:
            seen.batch_classes += torch.stack(self._classes_of_batches).tolist()
            self._classes_of_batches = []

    def _compare_modes(self, epoch: int) -> None:
        """Losses on batch and on running statistics, after epochs 1, 2, 4, 8 ... and the last."""
        if self._probe is None or (epoch & (epoch - 1) and epoch != self.seen.setup.epochs):
            return
        with self._feed.paused():
            losses = torch.stack([self._probe.loss(batch_statistics=each) for each in (True, False)]).tolist()
        self.seen.modes.append(ModeGap(self.seen.steps, *losses))

    def _add(self, findings: list[Finding]) -> list[Finding]:
        self.findings += findings
        return findings

    @staticmethod
    def _fatal(findings: list[Finding]) -> Finding | None:
        return next((finding for finding in findings if finding.severity == "fatal"), None)
