"""The hooks on a loop's model and optimizer, and what they measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.measure.audit import StepAuditor
from hpo.checks.measure.inputs import ForwardMonitor
from hpo.checks.measure.probes import PendingSnapshot, Probe, StepMeter
from hpo.checks.observations import ModeGap, Observations
from hpo.checks.state import ForwardMonitorState
from hpo.config.thresholds import Preset

_FIRST_SNAPSHOTS = (0, 8, 32)
"""0-based steps."""
_SNAPSHOTS = {"off": 1, "standard": 8, "full": 40}
"""About how many more over a training of known length; each costs about half a step."""
_MIN_INTERVAL, _MAX_INTERVAL = {"off": 48, "standard": 48, "full": 10}, 500


class LoopHooks:
    """Measures a loop: its forward passes, its first steps, and its layers at chosen steps.

    Everything stays on the device until ``collect`` moves it to the observations.
    """

    def __init__(
        self, model: nn.Module, optimizers: Sequence[Optimizer], seen: Observations, preset: Preset
    ) -> None:
        self._model = model
        self._optimizers = optimizers
        self._seen = seen
        self._preset = preset
        self._probe: Probe | None = None
        self._pending: list[PendingSnapshot] = []
        self._forwards = ForwardMonitor(model, optimizers)
        self._meter = StepMeter(model)
        self._auditor: StepAuditor | None = None
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Register the hooks."""
        self._auditor = StepAuditor(
            self._model, self._optimizers, self._seen.setup.classes, lambda: self._forwards.is_paused
        )
        self._handles = [self._forwards.attach()]
        if self._optimizers:  # the first counts the steps
            self._handles += [
                self._optimizers[0].register_step_pre_hook(lambda *_: self._before_step()),
                self._optimizers[0].register_step_post_hook(lambda *_: self._after_step()),
            ]
        self._forwards.expect()

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._auditor is not None:
            self._auditor.close()

    def watch_layers(self, probe: Probe) -> None:
        """Take snapshots of the layers on ``probe``."""
        self._probe = probe

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Ignore forward passes inside: they are not the loop's."""
        with self._forwards.paused():
            yield

    def state(self) -> ForwardMonitorState:
        """Return what ``resume`` needs, after ``collect``."""
        return self._forwards.state()

    def resume(self, seen: Observations, state: ForwardMonitorState) -> None:
        """Continue the observations of another run of the same training."""
        self._seen = seen
        if self._auditor is not None and seen.optimizer_steps:
            self._auditor.close()
        self._forwards.restore(state)

    def report(self, loss: Tensor, labels: Tensor | None) -> None:
        """Take the loss () of a step and the labels (B,) of its batch, if known."""
        if self._auditor is not None:
            self._auditor.reported(loss, labels)

    def end_epoch(self, epoch: int) -> None:
        """Record the next forward passes; after epochs 1, 2, 4, 8 ... and the last, compare the modes.

        The probe's loss on batch statistics is compared with that on running statistics.
        """
        if self._probe is not None and (epoch & (epoch - 1) == 0 or epoch == self._seen.setup.epochs):
            with self.paused():
                losses = [self._probe.loss(batch_statistics=each) for each in (True, False)]
                self._seen.modes.append(ModeGap(self._seen.steps, *torch.stack(losses).tolist()))
        self._forwards.expect()

    def collect(self) -> None:
        """Move what has accumulated on the device to the observations."""
        self._seen.snapshots += [pending.read() for pending in self._pending]
        self._pending = []
        self._seen.forwards += self._forwards.read()
        if self._auditor is not None:
            self._seen.audits += self._auditor.read()

    def _before_step(self) -> None:
        if self._is_chosen(self._seen.optimizer_steps):
            self._meter.before()
        self._forwards.before_step()
        if self._auditor is not None:
            self._auditor.before_step()

    def _after_step(self) -> None:
        if self._auditor is not None:
            self._auditor.after_step()
        step = self._seen.optimizer_steps
        self._seen.optimizer_steps += 1
        if self._probe is not None and self._is_chosen(step):
            motion = self._meter.after()
            lr = float(self._optimizers[0].param_groups[0]["lr"])
            with self.paused():
                histograms = self._takes_histograms(step)
                self._pending.append(self._probe.snapshot(step, lr, motion, histograms=histograms))
        self._forwards.after_step(step)

    def _is_chosen(self, step: int) -> bool:
        return step in _FIRST_SNAPSHOTS or (step + 1) % self._interval() == 0

    def _takes_histograms(self, step: int) -> bool:
        """Of a snapshot: the first ones, then at doubling distances, and the last."""
        interval, total = self._interval(), self._seen.setup.total_steps
        number = (step + 1) // interval
        is_last = total is not None and step + interval >= total
        return step in _FIRST_SNAPSHOTS or is_last or number & (number - 1) == 0

    def _interval(self) -> int:
        """Return the number of steps between two snapshots."""
        total, least = self._seen.setup.total_steps, _MIN_INTERVAL[self._preset]
        return (
            2 * least if total is None else min(max(total // _SNAPSHOTS[self._preset], least), _MAX_INTERVAL)
        )
