from __future__ import annotations

from dataclasses import replace

import pytest

from hpo.cli.views.progress import RunProgress
from hpo.config.parsing.load import parse_study
from hpo.events import EpochDone, StudyReady, TrialEnded, TrialPaused, TrialStarted, WorkerLost
from tests.helpers.events import epoch_done

READY = StudyReady("s", "synthetic", "drawn", 0, 10, 2, 1, "cpu", "fp32")


STAGED = """\
study: staged
fixed: {dataset: synthetic}
space: {lr: {log: [1e-3, 1]}}
stages:
  - {name: coarse, trials: 4, epochs: 2, data: 0.2}
  - {name: confirm, epochs: 7, confirm: {top: 1, seeds: 2}}
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(number: int, worker: str = "a", epochs: int = 4) -> TrialStarted:
    return TrialStarted(worker, number, number, {"lr": 0.1}, epochs)


def epoch(number: int, at: int, worker: str = "a", accuracy: float = 0.5) -> EpochDone:
    return epoch_done(worker, number, at, 4, 1.0, 1.1, accuracy, 1000.0)


def ended(
    number: int, state: str = "complete", value: float | None = 0.5, seconds: float = 8.0
) -> TrialEnded:
    return TrialEnded("a", number, state, value, "healthy", seconds)


def test_counts_and_the_best_follow_the_events() -> None:
    progress = RunProgress()
    for event in (
        READY,
        started(0),
        started(1, "b"),
        epoch(0, 1),
        ended(0, value=0.6),
        ended(1, "pruned", 0.9),
    ):
        progress.apply(event)
    assert (progress.done, dict(progress.states)) == (2, {"complete": 1, "pruned": 1})
    assert progress.best == (0.6, 0)  # a stopped trial's value is no rival
    assert progress.running == {}


def test_a_paused_trial_neither_runs_nor_is_over() -> None:
    progress = RunProgress()
    for event in (READY, started(0), epoch(0, 1), TrialPaused("a", 0, "rank 2 of 2 at epoch 1")):
        progress.apply(event)
    assert (progress.running, progress.paused, progress.done) == ({}, {0}, 0)
    progress.apply(started(0, "b"))
    assert (list(progress.running), progress.paused) == ([0], set())
    progress.apply(TrialPaused("b", 0, ""))
    progress.apply(ended(0, "pruned", None))
    assert (progress.running, progress.paused, progress.done) == ({}, set(), 1)


def test_earlier_runs_count() -> None:
    progress = RunProgress()
    progress.start_from({"complete": 3, "failed": 1}, (0.7, 2))
    progress.apply(READY)
    progress.apply(ended(4, value=0.65))
    assert (progress.done, progress.best) == (5, (0.7, 2))


def test_rates_of_all_workers_add_up_until_one_is_lost() -> None:
    progress = RunProgress()
    for event in (READY, started(0), started(1, "b"), epoch(0, 1), epoch(1, 1, "b")):
        progress.apply(event)
    assert progress.images_per_second == 2000
    progress.apply(WorkerLost("b", "b died"))
    assert progress.images_per_second == 1000
    assert list(progress.running) == [0]


def test_time_left_is_unknown_before_the_first_epoch() -> None:
    progress = RunProgress()
    assert progress.seconds_left() is None
    progress.apply(READY)
    progress.apply(started(0))
    assert progress.seconds_left() is None


def test_time_left_is_exact_when_all_trials_are_alike() -> None:
    """Ten trials of 8 s on two workers: after 6 s, five rounds less 6 s are left."""
    clock = Clock()
    progress = RunProgress(clock=clock)
    for event in (READY, started(0), started(1, "b")):
        progress.apply(event)
    for at in (1, 2, 3):
        clock.now += 2
        progress.apply(epoch(0, at))
        progress.apply(epoch(1, at, "b"))
    assert progress.seconds_left() == pytest.approx(5 * 8 - 6)


def test_time_left_is_not_fooled_by_trials_that_stopped_early() -> None:
    """One was stopped after 2 s; the other, still running, promises 8 s: a new one is expected to take 5."""
    clock = Clock()
    progress = RunProgress(clock=clock)
    for event in (READY, started(0), started(1, "b")):
        progress.apply(event)
    clock.now += 2
    progress.apply(epoch(1, 1, "b"))
    progress.apply(ended(0, "pruned", None, seconds=2.0))
    assert progress.seconds_left() == pytest.approx((8 * 5 + 6) / 2)


def test_time_left_knows_that_later_stages_cost_more() -> None:
    """Four trials of 2 passes over a fifth of the images, two of 7 over all, one on the test images."""
    spec = parse_study(STAGED, "staged.yaml")
    assert spec.trial_costs == ((4, 0.4), (2, 7.0), (1, 7.0))
    progress = RunProgress(ready=StudyReady("s", "d", "o", 0, 7, 1, 1, "cpu", "fp32", costs=spec.trial_costs))
    for number in range(4):
        progress.apply(ended(number, seconds=4.0))
    assert progress.seconds_left() == pytest.approx(3 * 70.0)
    progress.apply(ended(4, seconds=60.0))
    assert progress.seconds_left() == pytest.approx(2 * 7.0 * (16 + 60) / (1.6 + 7))


def test_trials_beyond_the_plan_cost_what_the_last_stage_does() -> None:
    ready = StudyReady("s", "d", "o", 0, 6, 1, 1, "cpu", "fp32", costs=((2, 1.0), (2, 3.0)))
    progress = RunProgress(ready=ready)
    for number in range(4):
        progress.apply(ended(number, seconds=(2.0, 2.0, 6.0, 6.0)[number]))
    assert progress.seconds_left() == pytest.approx(12.0)


def test_a_resumed_trial_counts_only_the_epochs_that_were_left() -> None:
    """Epochs 3 and 4 of 4 are to be done; the third took 2 s, so the fourth is expected to take 2 more."""
    clock = Clock()
    progress = RunProgress(clock=clock, ready=StudyReady("s", "d", "o", 0, 1, 1, 1, "cpu", "fp32"))
    progress.apply(started(0))
    clock.now += 2
    progress.apply(epoch(0, 3))
    assert progress.seconds_left() == pytest.approx(2.0)


def test_an_epoch_of_a_trial_that_is_not_known_is_ignored() -> None:
    progress = RunProgress()
    progress.apply(epoch(5, 1))
    assert progress.running == {}


def test_the_best_of_a_minimized_study_is_its_lowest_value() -> None:
    progress = RunProgress()
    progress.apply(replace(READY, objective="val_loss", direction="minimize"))
    progress.apply(started(0))
    progress.apply(epoch(0, 1))
    assert progress.running[0].values == [1.1]
    for number, value in ((0, 0.7), (1, 0.4), (2, 0.9)):
        progress.apply(ended(number, value=value))
    assert progress.best == (0.4, 1)
