"""The rules of early stopping against the papers' own numbers and a second implementation."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from hpo.config.methods import Asha, Hyperband, Median
from hpo.records import RungRank
from hpo.search.pruners import bracket_of, judge, promotable, promoted, rungs, stopped_at_the_end


def test_rungs_are_the_powers_of_the_reduction() -> None:
    # Li et al. 2020, table 1: r = 1, R = 9, eta = 3 (its last rung, 9, is the end of the training).
    assert rungs(Asha(), 9) == (1, 3)
    assert rungs(Asha(min_epochs=2, reduction=2), 20) == (2, 4, 8, 16)
    assert rungs(Asha(), 1) == ()
    assert rungs(Median(warmup_epochs=2), 6) == (3, 4, 5)
    assert rungs(Hyperband(), 81, bracket=2) == (9, 27)


def test_asha_lets_the_best_share_through() -> None:
    third = Asha()
    assert judge(third, RungRank(3, 4, 12)).action == "goes_on"
    stopped = judge(third, RungRank(3, 9, 12))
    assert (stopped.action, stopped.reason) == (
        "stopped",
        "rank 9 of 12 at epoch 3: not among the best third",
    )
    assert judge(third, RungRank(3, 5, 12)).action == "stopped"
    # Nobody to compare with: the first goes on, and of the first few the best.
    assert [judge(third, RungRank(1, 1, of)).action for of in (1, 2, 3)] == ["goes_on"] * 3
    assert judge(third, RungRank(1, 2, 2)).action == "stopped"
    assert judge(Asha(reduction=4), RungRank(1, 3, 12)).reason.endswith(": among the best quarter")


def test_promotion_stops_no_trial_and_pauses_the_first() -> None:
    pausing = Asha(promote=True)
    assert judge(pausing, RungRank(1, 1, 2)).action == "paused"
    assert judge(pausing, RungRank(1, 1, 3)).action == "goes_on"
    assert judge(pausing, RungRank(1, 2, 5)).action == "paused"


def test_the_most_advanced_paused_trial_resumes_first() -> None:
    pausing = Asha(promote=True)
    early, late = RungRank(1, 2, 6), RungRank(3, 1, 3)
    assert promotable(pausing, [early, late], closing=False) is late
    assert promotable(pausing, [early, RungRank(3, 2, 3)], closing=False) is early
    assert promotable(pausing, [RungRank(1, 3, 6)], closing=False) is None
    assert promotable(pausing, [], closing=True) is None
    assert promoted(pausing, early).reason == "rank 2 of 6 at epoch 1: among the best third now"


def test_at_the_end_the_best_of_too_few_resumes() -> None:
    pausing, two = Asha(promote=True), RungRank(1, 1, 2)
    assert promotable(pausing, [two], closing=False) is None
    assert promotable(pausing, [two], closing=True) is two
    assert promotable(pausing, [RungRank(1, 2, 2)], closing=True) is None
    assert promoted(pausing, two).reason == "rank 1 of 2 at epoch 1: the best of the few that reached it now"
    assert stopped_at_the_end(pausing, RungRank(1, 5, 12)).reason == (
        "rank 5 of 12 at epoch 1: not among the best third"
    )


def test_the_median_rule_stops_the_worse_half_after_its_warm_up() -> None:
    rule = Median(min_trials=5)
    actions = [judge(rule, RungRank(2, rank, 5)).action for rank in range(1, 6)]
    assert actions == ["goes_on"] * 3 + ["stopped"] * 2
    assert [judge(rule, RungRank(2, rank, 6)).action for rank in (3, 4)] == ["goes_on", "stopped"]
    assert judge(rule, RungRank(2, 4, 4)).action == "goes_on"
    assert judge(rule, RungRank(2, 5, 5)).reason == "rank 5 of 5 at epoch 2: below the median"


def test_hyperband_has_the_papers_brackets() -> None:
    # Li et al. 2018, table 1: R = 81, eta = 3; n = 81, 27 x 5 / 4, 9 x 5 / 3, 3 x 5 / 2, 5, rounded up.
    dealt = [bracket_of(Hyperband(), 81, slot) for slot in range(143)]
    assert Counter(dealt) == {0: 81, 1: 34, 2: 15, 3: 8, 4: 5}
    assert dealt == [bracket_of(Hyperband(), 81, slot) for slot in range(143, 286)]
    assert rungs(Hyperband(), 81, bracket=4) == ()
    # Evenly mixed: whenever a study ends, each bracket has its share, up to two trials.
    for count in range(1, 144):
        have = Counter(dealt[:count])
        assert all(abs(have[b] - count * size / 143) < 2 for b, size in enumerate((81, 34, 15, 8, 5)))
    assert {bracket_of(Asha(), 81, slot) for slot in range(100)} == {0}


@dataclass
class PapersAsha:
    """Algorithm 2 of Li et al. 2020 as it is written there: ``get_job`` for one worker, r = 1, s = 0."""

    eta: int
    rungs: int
    finished: dict[int, dict[int, float]] = field(default_factory=dict)
    promoted: dict[int, set[int]] = field(default_factory=dict)
    begun: int = 0

    def get_job(self) -> tuple[int, int]:
        for k in reversed(range(self.rungs - 1)):
            scores = self.finished.get(k, {})
            best = sorted(scores, key=lambda trial: (-scores[trial], trial))[: len(scores) // self.eta]
            able = [trial for trial in best if trial not in self.promoted.setdefault(k, set())]
            if able:
                self.promoted[k].add(able[0])
                return able[0], k + 1
        self.begun += 1
        return self.begun - 1, 0

    def report(self, trial: int, k: int, score: float) -> None:
        self.finished.setdefault(k, {})[trial] = score


@dataclass(frozen=True)
class Waiting(RungRank):
    trial: int


def our_jobs(curves: list[list[float]], pruner: Asha, epochs: int, count: int) -> list[tuple[int, int]]:
    """(trial, rung) in the order in which one worker of ours trains them."""
    at = rungs(pruner, epochs)
    scores: dict[int, dict[int, float]] = {k: {} for k in range(len(at))}
    paused: dict[int, set[int]] = {k: set() for k in range(len(at))}
    jobs: list[tuple[int, int]] = []
    begun = 0

    def standing(k: int, trial: int) -> Waiting:
        ahead = sum((-score, other) < (-scores[k][trial], trial) for other, score in scores[k].items())
        return Waiting(at[k], ahead + 1, len(scores[k]), trial)

    while len(jobs) < count:
        best = [
            min((standing(k, trial) for trial in paused[k]), key=lambda each: each.rank)
            for k in paused
            if paused[k]
        ]
        chosen = promotable(pruner, best, closing=False)
        if chosen is not None:
            trial, k = chosen.trial, at.index(chosen.epoch) + 1
            paused[k - 1].remove(trial)
        else:
            trial, k = begun, 0
            begun += 1
        jobs.append((trial, k))
        while k < len(at):
            scores[k][trial] = max(curves[trial][: at[k]])
            if judge(pruner, standing(k, trial)).action == "paused":
                paused[k].add(trial)
                break
            k += 1
            jobs.append((trial, k))
    return jobs[:count]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("eta", [2, 3])
def test_promotion_trains_what_the_papers_algorithm_trains(seed: int, eta: int) -> None:
    draw = random.Random(seed)
    epochs = eta**3
    curves = [sorted(draw.choice(range(100)) / 100 for _ in range(epochs)) for _ in range(200)]
    pruner = Asha(reduction=eta, promote=True)
    paper = PapersAsha(eta, rungs=4)
    expected = []
    for _ in range(150):
        trial, k = paper.get_job()
        expected.append((trial, k))
        paper.report(trial, k, curves[trial][min(eta**k, epochs) - 1])
    assert our_jobs(curves, pruner, epochs, 150) == expected
