"""A study replayed on recorded curves, with simulated workers and the project's own rules of early stopping.

Every epoch takes one unit of time. What happens at the same instant happens in the order of the workers.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from hpo.config.methods import Asha, Rules
from hpo.records import RungRank
from hpo.search.pruners import bracket_of, can_pause, judge, promotable, rungs
from search_replay.curves import Recorded


@dataclass(frozen=True)
class Point:
    """The best accuracy of any trial after a total number of epochs, at a time in epochs."""

    epochs: int
    time: int
    best: float


State = Literal["running", "complete", "hopeless", "stopped", "paused"]


@dataclass
class Taken:
    """A configuration in a replay: how far it was trained, and what ended it."""

    slot: int
    recorded: Recorded
    bracket: int
    done: int = 0
    state: State = "running"
    best: float = 0.0
    """Its best accuracy so far. A curve that a check ended keeps its last value."""

    def advance(self) -> None:
        """Train one more epoch."""
        if self.done < len(self.recorded.curve):
            self.best = max(self.best, self.recorded.curve[self.done])
        self.done += 1


@dataclass(frozen=True)
class _Waiting(RungRank):
    trial: Taken


@dataclass
class Replay:
    """One study: trials run in ``order`` by ``workers`` workers, ended early by ``pruner``.

    ``checked`` is whether the checks end hopeless trials as they did when the curves were recorded; without
    them such a trial is trained to its end and keeps its last value. ``taken`` has all trials, by slot, once
    the study has run.
    """

    order: Sequence[Recorded]
    epochs: int
    workers: int
    pruner: Rules | None = None
    checked: bool = True
    taken: list[Taken] = field(default_factory=list)
    _scores: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)
    _paused: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)

    def run(self) -> list[Point]:
        """Return a point for each epoch, in the order in which they end."""
        self.taken = [self._trial(slot, each) for slot, each in enumerate(self.order)]
        fresh = iter(self.taken)
        waiting = next(fresh, None)
        ends: list[tuple[int, int, Taken]] = []
        idle = list(range(self.workers))
        points: list[Point] = []
        now, best = 0, 0.0
        while True:
            while idle:
                trial = self._promoted(closing=waiting is None and not ends)
                if trial is None:
                    trial, waiting = waiting, next(fresh, None)
                if trial is None:
                    break
                heapq.heappush(ends, (now + 1, idle.pop(0), trial))
            if not ends:
                return points
            now, worker, trial = heapq.heappop(ends)
            trial.advance()
            best = max(best, trial.best)
            points.append(Point(len(points) + 1, now, best))
            trial.state = self._after_epoch(trial)
            if trial.state == "running":
                heapq.heappush(ends, (now + 1, worker, trial))
            else:
                idle.append(worker)

    def _trial(self, slot: int, recorded: Recorded) -> Taken:
        bracket = bracket_of(self.pruner, self.epochs, slot) if self.pruner else 0
        return Taken(slot, recorded, bracket)

    def _after_epoch(self, trial: Taken) -> State:
        if self.checked and trial.recorded.cause and trial.done >= len(trial.recorded.curve):
            self._fall_behind(trial)
            return "hopeless"
        if trial.done >= self.epochs:
            return "complete"
        if self.pruner is None or trial.done not in rungs(self.pruner, self.epochs, trial.bracket):
            return "running"
        rung = (trial.bracket, trial.done)
        insort(self._scores.setdefault(rung, []), _place(trial))
        action = judge(self.pruner, self._standing(rung, trial)).action
        if action == "paused":
            insort(self._paused.setdefault(rung, []), _place(trial))
        return "running" if action == "goes_on" else action

    def _fall_behind(self, trial: Taken) -> None:
        """It counts as the last where asha compares, as in `hpo.trial.pruning`."""
        if isinstance(self.pruner, Asha):
            for epoch in rungs(self.pruner, self.epochs, trial.bracket):
                if epoch >= trial.done:
                    insort(self._scores.setdefault((trial.bracket, epoch), []), (0.0, trial.slot))

    def _standing(self, rung: tuple[int, int], trial: Taken) -> _Waiting:
        scores = self._scores[rung]
        return _Waiting(rung[1], bisect_left(scores, _place(trial)) + 1, len(scores), trial)

    def _promoted(self, closing: bool) -> Taken | None:
        if not can_pause(self.pruner):
            return None
        best = [
            self._standing(rung, self.taken[paused[0][1]]) for rung, paused in self._paused.items() if paused
        ]
        chosen = promotable(self.pruner, best, closing)
        if chosen is None:
            return None
        self._paused[chosen.trial.bracket, chosen.epoch].pop(0)
        chosen.trial.state = "running"
        return chosen.trial


def _place(trial: Taken) -> tuple[float, int]:
    """The better comes first, of equals the older."""
    return -trial.best, trial.slot
