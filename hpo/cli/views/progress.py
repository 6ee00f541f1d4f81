"""How a run stands: what its events add up to. Knows nothing of terminals."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hpo.events import (
    EpochDone,
    Event,
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
    """A trial that a worker has in hand; ``began`` and ``epoch_at`` are seconds of the monotonic clock."""

    number: int
    worker: str
    configuration: dict[str, Any]
    epochs: int
    began: float
    epoch_at: float
    first_epoch: int = 0
    epoch: int = 0
    train_loss: float | None = None
    accuracies: list[float] = field(default_factory=list)

    def expected_seconds(self, now: float) -> float | None:
        """How long it takes in all if its epochs go on as they did; ``None`` before the first."""
        done = self.epoch - self.first_epoch
        if done <= 0:
            return None
        return max((self.epoch_at - self.began) / done * (self.epochs - self.first_epoch), now - self.began)


@dataclass
class Progress:
    """The sum of a run's events so far."""

    clock: Callable[[], float] = time.monotonic
    ready: StudyReady | None = None
    states: Counter[str] = field(default_factory=Counter)
    """Trials by how they ended: complete, pruned, failed; earlier runs of the study included."""
    best: tuple[float, int] | None = None
    """The best value so far and the number of its trial."""
    paused: set[int] = field(default_factory=set)
    """Trials that wait at a rung, by number; those of this run only."""
    running: dict[int, RunningTrial] = field(default_factory=dict)
    ended: deque[TrialEnded] = field(default_factory=lambda: deque(maxlen=SHOWN_ENDED))
    findings: deque[FindingMade] = field(default_factory=lambda: deque(maxlen=SHOWN_FINDINGS))
    """The latest, of trials under way or over."""
    lost: list[WorkerLost] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    """Images per second of each worker's last epoch."""
    durations: dict[int, float] = field(default_factory=dict)
    """Seconds that this run's ended trials took, by number."""

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        if isinstance(event, StudyReady):
            self.ready = event
        elif isinstance(event, TrialStarted):
            self._start(event)
        elif isinstance(event, EpochDone):
            self._advance(event)
        elif isinstance(event, FindingMade):
            self.findings.append(event)
        elif isinstance(event, TrialEnded):
            self._end(event)
        elif isinstance(event, TrialPaused):
            self.running.pop(event.number, None)
            self.paused.add(event.number)
        elif isinstance(event, WorkerLost):
            self._lose(event)

    def start_from(self, states: dict[str, int], best: tuple[float, int] | None) -> None:
        """What earlier runs of the study left: trials by how they ended, and the best of them."""
        self.states.update(states)
        self.best = best

    @property
    def done(self) -> int:
        """Trials of the study that are over."""
        return sum(self.states.values())

    @property
    def images_per_second(self) -> float:
        """All workers together."""
        return sum(self.rates.values())

    def seconds_left(self) -> float | None:
        """The time until the last trial ends, if those to come are like those that were; ``None`` if unknown.

        A trial is expected to take the longer, the more it costs: more epochs, more images. Trials that run
        count with what their epochs promise: else the first estimates would rest on the short trials alone,
        which were stopped early.
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
        """The costs of so many trials in the order of their numbers, which is that of the stages."""
        costs = (self.ready.costs if self.ready else ()) or ((0, 1.0),)
        cost = 0.0
        for trials, each in costs:
            cost += min(count, trials) * each
            count -= min(count, trials)
        return cost + count * costs[-1][1]

    def _start(self, event: TrialStarted) -> None:
        now = self.clock()
        self.paused.discard(event.number)
        trial = RunningTrial(event.number, event.worker, event.configuration, event.epochs, now, now)
        self.running[event.number] = trial

    def _advance(self, event: EpochDone) -> None:
        trial = self.running.get(event.number)
        if trial is None:
            return
        result = event.result
        if not trial.accuracies:
            trial.first_epoch = result.epoch - 1
        trial.epoch, trial.epoch_at, trial.train_loss = result.epoch, self.clock(), result.train_loss
        trial.accuracies.append(result.val_accuracy)
        self.rates[event.worker] = result.images_per_second

    def _end(self, event: TrialEnded) -> None:
        self.running.pop(event.number, None)
        self.paused.discard(event.number)
        self.states[event.state] += 1
        self.durations[event.number] = event.seconds
        self.ended.append(event)
        # Only complete trials compete: the value of a stopped one belongs to fewer epochs.
        if (
            event.state == "complete"
            and event.value is not None
            and (not self.best or event.value > self.best[0])
        ):
            self.best = (event.value, event.number)

    def _lose(self, event: WorkerLost) -> None:
        self.lost.append(event)
        self.rates.pop(event.worker, None)
        self.running = {n: trial for n, trial in self.running.items() if trial.worker != event.worker}
