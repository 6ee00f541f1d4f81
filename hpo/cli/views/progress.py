"""The state of a run, computed from its events; does not draw anything."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any

from hpo.config.objective import ACCURACY, Objective
from hpo.events import (
    EpochDone,
    FindingMade,
    StudyReady,
    TrialEnded,
    TrialPaused,
    TrialStarted,
    WorkerLost,
)

SHOWN_ENDED = 5
SHOWN_FINDINGS = 3


@dataclass
class RunningTrial:
    """A running trial; ``began`` and ``epoch_at`` are times of the monotonic clock."""

    number: int
    worker: str
    configuration: dict[str, Any]
    epochs: int
    began: float
    epoch_at: float
    first_epoch: int = 0
    epoch: int = 0
    train_loss: float | None = None
    values: list[float] = field(default_factory=list)
    """The objective by epoch."""

    def expected_seconds(self, now: float) -> float | None:
        """Return the expected duration of all its epochs; None before the first has ended."""
        done = self.epoch - self.first_epoch
        if done <= 0:
            return None
        return max((self.epoch_at - self.began) / done * (self.epochs - self.first_epoch), now - self.began)


@dataclass
class RunProgress:
    """What the events of a run add up to so far."""

    clock: Callable[[], float] = time.monotonic
    ready: StudyReady | None = None
    states: Counter[str] = field(default_factory=Counter)
    """Ended trials by state (complete, pruned, failed), including those of earlier runs of the study."""
    best: tuple[float, int] | None = None
    """The best value so far and its trial's number."""
    paused: set[int] = field(default_factory=set)
    """Numbers of trials that this run paused."""
    running: dict[int, RunningTrial] = field(default_factory=dict)
    ended: deque[TrialEnded] = field(default_factory=lambda: deque(maxlen=SHOWN_ENDED))
    findings: deque[FindingMade] = field(default_factory=lambda: deque(maxlen=SHOWN_FINDINGS))
    """The latest findings."""
    lost: list[WorkerLost] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    """Images per second of each worker's last epoch."""
    durations: dict[int, float] = field(default_factory=dict)
    """Seconds that each trial of this run took, by number."""

    @singledispatchmethod
    def apply(self, event: Any) -> None:
        """Update the state with an event; events without a meaning for it are ignored."""

    @apply.register
    def _(self, event: StudyReady) -> None:
        self.ready = event

    @apply.register
    def _(self, event: TrialStarted) -> None:
        now = self.clock()
        self.paused.discard(event.number)
        trial = RunningTrial(event.number, event.worker, event.configuration, event.epochs, now, now)
        self.running[event.number] = trial

    @apply.register
    def _(self, event: EpochDone) -> None:
        trial = self.running.get(event.number)
        if trial is None:
            return
        result = event.result
        if not trial.values:
            trial.first_epoch = result.epoch - 1
        trial.epoch, trial.epoch_at, trial.train_loss = result.epoch, self.clock(), result.train_loss
        trial.values.append(self.goal.of(result))
        if result.images:
            self.rates[event.worker] = result.images_per_second

    @apply.register
    def _(self, event: FindingMade) -> None:
        self.findings.append(event)

    @apply.register
    def _(self, event: TrialPaused) -> None:
        self.running.pop(event.number, None)
        self.paused.add(event.number)

    @apply.register
    def _(self, event: TrialEnded) -> None:
        self.running.pop(event.number, None)
        self.paused.discard(event.number)
        self.states[event.state] += 1
        self.durations[event.number] = event.seconds
        self.ended.append(event)
        # Only complete trials compete: the value of a stopped one belongs to fewer epochs.
        if (
            event.state == "complete"
            and event.value is not None
            and (not self.best or self.goal.better(event.value, self.best[0]))
        ):
            self.best = (event.value, event.number)

    @apply.register
    def _(self, event: WorkerLost) -> None:
        self.lost.append(event)
        self.rates.pop(event.worker, None)
        self.running = {n: trial for n, trial in self.running.items() if trial.worker != event.worker}

    def start_from(self, states: dict[str, int], best: tuple[float, int] | None) -> None:
        """Add the trials of earlier runs of the study, by state, and the best of them."""
        self.states.update(states)
        self.best = best

    @property
    def goal(self) -> Objective:
        """What the study optimizes."""
        return Objective(self.ready.objective, self.ready.direction) if self.ready else ACCURACY

    @property
    def done(self) -> int:
        """Number of the study's trials that are over."""
        return sum(self.states.values())

    @property
    def images_per_second(self) -> float:
        """Training speed of all workers together."""
        return sum(self.rates.values())

    def seconds_left(self) -> float | None:
        """Estimate the time until the last trial ends; None if it cannot be estimated yet.

        The duration of a trial is taken as proportional to its cost (epochs, images). Running trials count
        with the duration that their epochs suggest: otherwise the first estimates would rest on the short
        trials that were stopped early.
        """
        if self.ready is None:
            return None
        now = self.clock()
        expected = {number: trial.expected_seconds(now) for number, trial in self.running.items()}
        known = self.durations | {number: each for number, each in expected.items() if each is not None}
        if not known:
            return None
        pace = sum(known.values()) / sum(map(self._cost, known))
        begun = self.done + len(self.running) + len(self.paused)
        unstarted = max(0, self.ready.trials_total - begun)
        work = pace * (self._cost_of_first(begun + unstarted) - self._cost_of_first(begun))
        for number, trial in self.running.items():
            promised = expected[number]
            work += max(
                0.0, (pace * self._cost(number) if promised is None else promised) - (now - trial.began)
            )
        return work / max(1, min(self.ready.workers, unstarted + len(self.running)))

    def _cost(self, number: int) -> float:
        return self._cost_of_first(number + 1) - self._cost_of_first(number)

    def _cost_of_first(self, count: int) -> float:
        """Return the cost of the first ``count`` trials; trials are numbered in the order of the stages."""
        costs = (self.ready.costs if self.ready else ()) or ((0, 1.0),)
        cost = 0.0
        for trials, each in costs:
            cost += min(count, trials) * each
            count -= min(count, trials)
        return cost + count * costs[-1][1]
