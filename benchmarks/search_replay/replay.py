"""A study replayed on recorded curves, with simulated workers and the project's own rules of early stopping.

Every epoch takes one unit of time. What happens at the same instant happens in the order of the workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo.results.records import Standing
from hpo.search.pruners import bracket_of, can_pause, judge, promotable, rungs
from hpo.spec.pruner import Rules
from search_replay.curves import Recorded


@dataclass(frozen=True)
class Point:
    """After so many epochs in all, at a time in epochs, the best accuracy that any trial had shown."""

    epochs: int
    time: int
    best: float


@dataclass
class _Trial:
    slot: int
    recorded: Recorded
    bracket: int
    done: int = 0


@dataclass(frozen=True)
class _Waiting(Standing):
    trial: _Trial


@dataclass
class Replay:
    """One study: trials taken up in ``order`` by ``workers`` workers, ended early by ``pruner``.

    ``checked`` says whether the checks end hopeless trials as they did when the curves were recorded; without
    them such a trial is trained to its end and stays where it was.
    """

    order: Sequence[Recorded]
    epochs: int
    workers: int
    pruner: Rules | None = None
    checked: bool = True
    _scores: dict[tuple[int, int], dict[int, float]] = field(default_factory=dict)
    _paused: dict[tuple[int, int], list[_Trial]] = field(default_factory=dict)

    def run(self) -> list[Point]:
        """A point for each epoch, in the order in which they end."""
        fresh = iter([self._trial(slot, each) for slot, each in enumerate(self.order)])
        waiting = next(fresh, None)
        ends: list[tuple[int, int, _Trial]] = []
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
            best = max(best, self._advance(trial))
            points.append(Point(len(points) + 1, now, best))
            if self._goes_on(trial):
                heapq.heappush(ends, (now + 1, worker, trial))
            else:
                idle.append(worker)

    def _trial(self, slot: int, recorded: Recorded) -> _Trial:
        bracket = bracket_of(self.pruner, self.epochs, slot) if self.pruner else 0
        return _Trial(slot, recorded, bracket)

    def _advance(self, trial: _Trial) -> float:
        """Train an epoch more; the trial's best accuracy so far. A curve that a check cut short stays low."""
        trial.done += 1
        return max(trial.recorded.curve[: trial.done], default=0.0)

    def _goes_on(self, trial: _Trial) -> bool:
        if trial.done >= self.epochs:
            return False
        if self.checked and trial.done >= len(trial.recorded.curve):
            return False
        if self.pruner is None or trial.done not in rungs(self.pruner, self.epochs, trial.bracket):
            return True
        rung = (trial.bracket, trial.done)
        self._scores.setdefault(rung, {})[trial.slot] = max(trial.recorded.curve[: trial.done], default=0.0)
        action = judge(self.pruner, self._standing(rung, trial)).action
        if action == "paused":
            self._paused.setdefault(rung, []).append(trial)
        return action == "goes_on"

    def _standing(self, rung: tuple[int, int], trial: _Trial) -> _Waiting:
        scores = self._scores[rung]
        mine = (-scores[trial.slot], trial.slot)
        ahead = sum((-score, slot) < mine for slot, score in scores.items())
        return _Waiting(rung[1], ahead + 1, len(scores), trial)

    def _promoted(self, closing: bool) -> _Trial | None:
        if not can_pause(self.pruner):
            return None
        best = [
            min((self._standing(rung, each) for each in paused), key=lambda each: each.rank)
            for rung, paused in self._paused.items()
            if paused
        ]
        chosen = promotable(self.pruner, best, closing)
        if chosen is None:
            return None
        self._paused[chosen.trial.bracket, chosen.epoch].remove(chosen.trial)
        return chosen.trial
