"""Learning rates that vanish before the middle of the training, or do not rise."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.schedule import _BEYOND, _EARLY, _MIDDLE, _NOT_RISEN, _VANISHED, schedule
from tests.helpers.observed import LIMITS, NAN, one, seen, setup, snapshot

END = int(_MIDDLE * 500)
EARLY = int(_EARLY * 500)


def rates(looks: Iterable[tuple[int, float]]) -> Observations:
    """(step, lr) of looks in a training of 500 steps."""
    return seen(snapshots=[snapshot(step=step, lr=lr) for step, lr in looks])


@pytest.mark.parametrize(
    "looks",
    [
        [(0, 0.05), (END - 1, 0.05 * _VANISHED * 1.01)],
        [(0, 0.05), (END, 1e-9)],
        [(0, 1e-9), (8, 0.05)],  # a warm-up
        [(0, 1e-9), (EARLY - 1, 0.05 * _NOT_RISEN * 0.99)],
        [(0, 1e-9), (EARLY, 0.05 * _NOT_RISEN * 1.01)],
        [(0, 0.0), (8, 0.0)],
        [(0, NAN), (8, NAN)],
        [],
    ],
)
def test_schedule_rates_that_last_are_quiet(looks: list[tuple[int, float]]) -> None:
    assert schedule(rates(looks), LIMITS) == []


def test_schedule_a_thousandth_of_the_peak_before_the_middle_is_too_early() -> None:
    looks = [(0, 0.01), (8, 0.05), (END - 1, 0.05 * _VANISHED * 0.99)]
    found = one(schedule(rates(looks), LIMITS), "warn", "schedule")
    assert found.value == pytest.approx(0.99 * _VANISHED) and found.threshold == _VANISHED
    assert found.step == END - 1 and f"from 0.05 to 5.0e-05 by step {END - 1} of 500" in found.message
    assert found.remedy.change == {"schedule": "cosine"}


def test_schedule_a_rate_far_below_its_peak_after_the_start_has_not_risen() -> None:
    looks = [(0, 1e-9), (EARLY, 0.05 * _NOT_RISEN * 0.99), (END, 0.05)]
    found = one(schedule(rates(looks), LIMITS), "warn", "schedule")
    assert found.value == pytest.approx(0.99 * _NOT_RISEN) and found.threshold == _NOT_RISEN
    assert found.step == EARLY and f"no more than 2.5e-03 of 0.05 by step {EARLY} of 500" in found.message
    assert found.remedy.change == {"warmup_epochs": 0}


def test_schedule_a_rate_that_grows_beyond_its_peak_is_not_a_schedule() -> None:
    assert schedule(rates([(0, 0.05), (END + 50, 0.05 * _BEYOND)]), LIMITS) == []
    found = one(schedule(rates([(0, 0.05), (END, 0.2), (END + 50, 5.0)]), LIMITS), "warn", "schedule")
    assert found.step == END and f"grown to 0.2, from 0.05, by step {END} of 500" in found.message
    assert found.remedy.change == {"schedule": "cosine"}


def test_schedule_without_a_known_length_there_is_no_middle() -> None:
    shots = [snapshot(step=0), snapshot(step=8, lr=1e-9)]
    one(schedule(seen(snapshots=shots), LIMITS), "warn")
    assert schedule(seen(snapshots=shots, setup=setup(epochs=None)), LIMITS) == []
    assert schedule(seen(snapshots=shots, setup=setup(lr=0.0)), LIMITS) == []
