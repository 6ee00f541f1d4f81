"""The hooks on a loop's model and optimizer, and what they measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.audit import AUDIT, StepAuditor
from hpo.checks.measure.carried import CARRIED, CarriedGradients
from hpo.checks.measure.graphs import GRAPHS, GraphWatch
from hpo.checks.measure.inputs import PASSES, ForwardMonitor
from hpo.checks.measure.loss_graph import loss_facts
from hpo.checks.measure.motion import MotionMeter, RateRecord, largest_rate
from hpo.checks.measure.opponents import OPPONENTS, OpponentMonitor
from hpo.checks.measure.parts import CalledParts
from hpo.checks.measure.probes import PendingSnapshot, Probe, StepMeter
from hpo.checks.measure.untouched import uncompiled, unwrapped
from hpo.checks.observations import ModeGap, Observations
from hpo.checks.state import ForwardMonitorState
from hpo.config.thresholds import Preset

_STEPS, _LAYERS, _MOTION, _GRAPH, _PARTS = (
    "record of steps",
    "statistics of layers",
    "record of updates",
    "graph of the loss",
    "record of called parts",
)
"""What the guard calls them."""
_GRAPHS = 3
"""Losses whose graph is read."""
_FIRST_SNAPSHOTS = (0, 8, 32)
"""0-based steps."""
_SNAPSHOTS = {"off": 1, "standard": 8, "full": 40}
"""About how many more over a training of known length; each costs about half a step."""
_MIN_INTERVAL, _MAX_INTERVAL = {"off": 48, "standard": 48, "full": 10}, 500
_PARTS_OF_LONG = 32
"""A long loop of one's own has about so many snapshots: its steps may be shorter than a snapshot."""
_DOUBLINGS = 4
"""About how many snapshots it has until its steps have doubled, where its length is unknown."""
_EARLY = 40
"""Steps that are all looked at."""
_UNKNOWN = 64
"""Steps that are passed over at most without a probe."""
_EVERY_EPOCH = 16
"""Epochs after each of which passes are recorded; later after those of doubling numbers."""


class LoopHooks:
    """Measures a loop: its forward passes, its first steps, and its layers at chosen steps.

    ``model`` is what the loop calls; it is measured without what compiles or distributes it. A step is over
    when every optimizer has stepped, or one of them is about to step again; without optimizers, when its loss
    is reported. Everything stays on the device until ``collect`` moves it to the observations.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        seen: Observations,
        preset: Preset,
        guard: Guard,
        *,
        updates: bool = True,
    ) -> None:
        """``updates`` follows weights, learning rates and graphs, for loops that hpo did not configure."""
        self._model = model
        self._optimizers = optimizers
        self._seen = seen
        self._preset = preset
        self._guard = guard
        self._probe: Probe | None = None
        self._pending: list[PendingSnapshot] = []
        self._forwards = ForwardMonitor(model, optimizers, guard)
        self._meter = StepMeter(unwrapped(model))
        self._updates = updates
        self._motion = MotionMeter(model, optimizers)
        self._rates = RateRecord()
        self._auditor = StepAuditor(
            model, optimizers[:1], seen.setup.classes, lambda: self._forwards.is_paused, guard
        )
        self._graphs = GraphWatch(lambda: self._forwards.is_paused, guard)
        self._carried = CarriedGradients(optimizers if updates else (), guard)
        self._opponents = OpponentMonitor(model, optimizers, lambda: self._forwards.is_paused, guard)
        self._parts = CalledParts(model, lambda: self._forwards.is_paused, guard, _PARTS)
        self._is_attached = False
        self._graphs_left = _GRAPHS
        self._look: Callable[[], None] = _nothing
        self._follow: Callable[[], None] = _nothing
        self._handles: list[RemovableHandle] = []
        self._lr = math.nan
        """The largest learning rate of the present step."""
        self._rate: object = None
        """The rate of the first group when rates were last recorded."""
        self._calm_until = 0
        """The step of a single optimizer before which nothing is measured at its steps."""
        self._stepped: set[int] = set()
        """The optimizers that have stepped in the present step, by number."""

    def attach(self) -> None:
        """Register the hooks. A model that takes none, such as a scripted one, is watched by its steps."""
        self._is_attached = True
        for number, optimizer in enumerate(self._optimizers):
            self._handles.append(optimizer.register_step_pre_hook(self._pre_hook(number)))
            self._handles.append(optimizer.register_step_post_hook(self._post_hook(number)))
        self._guard.run(OPPONENTS, self._opponents.attach, None)
        self._guard.run(CARRIED, self._carried.attach, None)
        with suppress(RuntimeError):  # ScriptModule: "register_forward_hook is not supported"
            self._forwards.attach()
            self._auditor.attach()
            if self._updates:
                self._graphs.attach(self._model)
        self._forwards.expect()

    @property
    def is_inside_a_step(self) -> bool:
        """Whether one of the first steps has begun and is not over."""
        return self._is_attached and self._auditor.is_open

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._forwards.close()
        self._parts.close()
        self._auditor.close()
        self._graphs.close()
        self._opponents.close()
        self._carried.close()

    def _find_part(self) -> None:
        """After the first forward passes: follow the part that makes the outputs, if the model does not."""
        part = self._parts.found()
        if part is None or len(self._optimizers) > 1 or isinstance(part, torch.jit.ScriptModule):
            return  # several optimizers take turns: no part makes the outputs of all of their steps
        self._forwards.attach(part)
        self._auditor.attach(part)
        self._graphs.attach(part)
        self._follow()

    def look_before_steps(self, look: Callable[[], None], follow: Callable[[], None] | None = None) -> None:
        """Call ``look`` before each step; ``follow`` if the loop calls only parts of the model."""
        self._look, self._follow = look, follow or _nothing

    def watch_layers(self, probe: Probe) -> None:
        """Take snapshots of the layers on ``probe``."""
        self._probe, self._calm_until = probe, 0

    def listen(self, to_passes: bool) -> None:
        """Watch forward passes, or only steps until the next ones are expected."""
        (self._forwards.wake if to_passes else self._forwards.rest)()

    @property
    def is_calm(self) -> bool:
        """Whether nothing is measured at the present step, so its report needs no look."""
        return self._seen.optimizer_steps < self._calm_until

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Ignore forward passes inside: they are not the loop's. Nothing is compiled for them."""
        with self._forwards.paused(), uncompiled():
            yield

    @property
    def is_paused(self) -> bool:
        """Whether forward passes are not the loop's."""
        return self._forwards.is_paused

    def state(self) -> ForwardMonitorState:
        """Return what ``resume`` needs, after ``collect``."""
        return self._forwards.state()

    def resume(self, seen: Observations, state: ForwardMonitorState) -> None:
        """Continue the observations of another run of the same training."""
        self._seen, self._calm_until = seen, 0
        self._rates.rates = list(seen.updates.rates)
        self._auditor.resume(seen.optimizer_steps)
        if seen.optimizer_steps:
            self._carried.close()
        self._forwards.restore(state)

    def kept(self) -> dict[str, Any]:
        """Return what ``load`` takes, after ``collect``."""
        return {
            "motion": self._motion.state(),
            "every": self._rates.every,
            "graphs": self._graphs.state(),
            "graphs_left": self._graphs_left,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what another run of the same training has kept, after ``resume``."""
        self._motion.load(state["motion"])
        self._rates.every = state["every"]
        self._graphs.load(self._seen.optimizer_steps, state["graphs"])
        self._graphs_left = state["graphs_left"]

    def report(self, loss: Tensor, labels: object, given: object) -> None:
        """Take the loss () of a step as a number, the labels of its batch, if known, and it as ``given``."""
        if self._updates and not self._graphs.is_done:
            self._guard.run(GRAPHS, lambda: self._graphs.reported(given), None)
        if not self._auditor.is_done:
            self._guard.run(AUDIT, lambda: self._auditor.reported(loss, labels), None)
        if not self._optimizers and self._is_attached:
            self._after_hand_made_step()

    def look_at(self, loss: object) -> None:
        """Read the graph of a loss, if it is one of the first that have one."""
        if self._graphs_left and isinstance(loss, Tensor) and loss.grad_fn is not None:
            self._graphs_left -= 1
            self._guard.run(_GRAPH, lambda: self._read(loss), None)

    def _read(self, loss: Tensor) -> None:
        found = loss_facts(loss, _GRAPHS - self._graphs_left - 1, self._auditor.made)
        if found is not None:
            self._seen.loss_graphs.append(found)

    def end_epoch(self, epoch: int) -> None:
        """Record the next forward passes; after epochs 1, 2, 4, 8 ... and the last, compare the modes.

        The probe's loss on batch statistics is compared with that on running statistics.
        """
        if epoch & (epoch - 1) == 0 or epoch == self._seen.setup.epochs:
            self._guard.run("comparison of the modes", self._compare_modes, None)
        if epoch <= _EVERY_EPOCH or epoch & (epoch - 1) == 0 or epoch == self._seen.setup.epochs:
            self._guard.run(PASSES, self._forwards.expect, None)
            self._calm_until = 0

    def collect(self) -> None:
        """Move what has accumulated on the device to the observations."""
        pending, self._pending = self._pending, []
        self._seen.snapshots += self._guard.run(_LAYERS, lambda: [each.read() for each in pending], [])
        self._seen.forwards += self._guard.run(PASSES, self._forwards.read, [])
        if not self._seen.opponents:
            self._seen.opponents = self._guard.run(OPPONENTS, self._opponents.read, [])
        self._seen.carried += self._guard.run(CARRIED, self._carried.read, [])
        self._seen.audits += self._guard.run(AUDIT, self._auditor.read, [])
        self._guard.run(_MOTION, self._collect_updates, None)

    def _collect_updates(self) -> None:
        known = self._seen.updates
        self._seen.updates = replace(
            known,
            rates=tuple(self._rates.rates),
            motions=known.motions + self._motion.read(),
            kept_graphs=self._graphs.kept,
            carried_from=self._graphs.carried_from,
        )

    def read_whole_motion(self) -> None:
        """Add to the observations how far the weights are from their first values."""
        self._guard.run(_MOTION, self._read_whole_motion, None)

    def _read_whole_motion(self) -> None:
        motion = self._motion
        self._seen.updates = replace(self._seen.updates, moved=motion.moved(), shrunk=motion.shrunk())

    def _pre_hook(self, number: int) -> Hook:
        call = lambda *given: self._on_pre_step(number, *given)  # noqa: E731
        return Hook(self._guard, _STEPS, call, lambda: self._seen.optimizer_steps < self._calm_until)

    def _post_hook(self, number: int) -> Hook:
        return Hook(self._guard, _STEPS, lambda *given: self._on_post_step(number), self._passes_over)

    def _passes_over(self) -> bool:
        """Count the step if that is all there is to do; runs in every step of a loop."""
        seen = self._seen
        step = seen.optimizer_steps
        if step >= self._calm_until:
            return False
        if self._updates and step % self._rates.every == 0:
            rate = self._optimizers[0].param_groups[0].get("lr")
            if rate is not self._rate or isinstance(rate, Tensor):
                self._rate = rate
                self._guard.run(_MOTION, self._take_rate, None)
        self._forwards.steps = seen.optimizer_steps = step + 1
        return True

    def _on_pre_step(self, number: int, optimizer: Optimizer, given: tuple[Any, ...], named: Any) -> None:
        if number in self._stepped:
            self._after_step()
        if not self._stepped:
            self._before_step()
        elif self._probe is not None and self._is_chosen(self._seen.optimizer_steps):
            self._guard.run(_LAYERS, self._meter.measure_gradients, None)
        if not self._carried.is_done:
            self._guard.run(CARRIED, lambda: self._carried.before_step(number), None)
        if number == 0 and not self._auditor.is_done:
            closure = any(map(callable, (*given, *named.values())))
            self._guard.run(AUDIT, lambda: self._auditor.before_step(closure=closure), None)

    def _on_post_step(self, number: int) -> None:
        if number == 0 and not self._auditor.is_done:
            self._guard.run(AUDIT, self._auditor.after_step, None)
        if not self._carried.is_done:
            self._guard.run(CARRIED, lambda: self._carried.after_step(number), None)
        self._stepped.add(number)
        if len(self._stepped) == len(self._optimizers):
            self._after_step()

    def _after_hand_made_step(self) -> None:
        """Take the report of a loss for the end of a step. Its gradients may still be there."""
        if self._seen.optimizer_steps < 2:
            self._guard.run(_PARTS, self._look_for_parts, None)
        for call in (self._auditor.before_step, self._auditor.after_step):
            self._guard.run(AUDIT, call, None)
        if self._is_chosen(self._seen.optimizer_steps):
            self._guard.run(_LAYERS, self._meter.measure_gradients, None)
        self._guard.run(PASSES, self._forwards.before_step, None)
        self._after_step()
        self._guard.run(_MOTION, self._motion_before, None)
        if self._is_chosen(self._seen.optimizer_steps):
            self._guard.run(_LAYERS, self._meter.before, None)

    def _look_for_parts(self) -> None:
        """At the first step: if the model was not called, watch its parts; at the second one, follow them."""
        if self._parts.is_open:
            self._find_part()
        elif self._seen.optimizer_steps == 0 and self._updates and not self._graphs.has_run:
            self._parts.attach()

    def _before_step(self) -> None:
        if self._seen.optimizer_steps < 2:
            self._guard.run(_PARTS, self._look_for_parts, None)
        self._look()
        if self._updates:
            self._guard.run(_MOTION, self._motion_before, None)
        if self._probe is not None and self._is_chosen(self._seen.optimizer_steps):
            self._guard.run(_LAYERS, self._meter.before, None)
        self._guard.run(PASSES, self._forwards.before_step, None)

    def _after_step(self) -> None:
        self._stepped.clear()
        step = self._seen.optimizer_steps
        self._guard.run(_MOTION, lambda: self._motion.after(step, self._lr), None)
        self._seen.optimizer_steps += 1
        if self._probe is not None and self._is_chosen(step):
            probe = self._probe
            self._guard.run(_LAYERS, lambda: self._take_snapshot(probe, step), None)
        self._forwards.after_step(step)
        self._graphs.after_step(step)
        self._calm_until = self._next_look() if self._can_be_calm() else 0

    def _can_be_calm(self) -> bool:
        return (
            len(self._optimizers) == 1
            and self._seen.optimizer_steps >= _EARLY
            and self._auditor.is_done
            and self._graphs.is_idle
            and not self._forwards.is_expecting
        )

    def _next_look(self) -> int:
        step = self._seen.optimizer_steps
        return step + (_UNKNOWN if self._probe is None else (-step - 1) % self._interval(step))

    def _motion_before(self) -> None:
        if not self._updates:
            return
        self._take_rate()
        self._motion.before(self._seen.optimizer_steps)

    def _take_rate(self) -> None:
        self._lr = largest_rate(self._optimizers)
        self._rates.take(self._seen.optimizer_steps, self._lr)

    def _take_snapshot(self, probe: Probe, step: int) -> None:
        motion = self._meter.after()
        lr = float(self._optimizers[0].param_groups[0]["lr"]) if self._optimizers else math.nan
        with self.paused():
            histograms = self._takes_histograms(step)
            self._pending.append(probe.snapshot(step, lr, motion, histograms=histograms))

    def _compare_modes(self) -> None:
        if self._probe is None or not (self._probe.has_classes and self._probe.has_running_statistics):
            return
        with self.paused():
            losses = [self._probe.loss(batch_statistics=each) for each in (True, False)]
            self._seen.modes.append(ModeGap(self._seen.steps, *torch.stack(losses).tolist()))

    def _is_chosen(self, step: int) -> bool:
        return step in _FIRST_SNAPSHOTS or (step + 1) % self._interval(step) == 0

    def _takes_histograms(self, step: int) -> bool:
        """Of a snapshot: the first ones, then at doubling distances, and the last."""
        interval, total = self._interval(step), self._seen.setup.total_steps
        number = (step + 1) // interval
        is_last = total is not None and step + interval >= total
        return step in _FIRST_SNAPSHOTS or is_last or number & (number - 1) == 0

    def _interval(self, step: int) -> int:
        """Return the number of steps between two snapshots around ``step``."""
        total, least = self._seen.setup.total_steps, _MIN_INTERVAL[self._preset]
        if total is None and self._updates:
            doublings = step // (2 * least * _DOUBLINGS)
            return 2 * least << doublings.bit_length()
        if total is None:
            return 2 * least
        longest = max(_MAX_INTERVAL, total // _PARTS_OF_LONG) if self._updates else _MAX_INTERVAL
        return min(max(total // _SNAPSHOTS[self._preset], least), longest)


def _nothing() -> None:
    """Do nothing."""
