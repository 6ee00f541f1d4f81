"""Steps whose loss jumps."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.checks.rules.spikes import _AROUND, spikes
from tests.helpers.observed import LIMITS, NAN, one, seen

FACTOR = LIMITS.spike_factor


def jumping(height: float, at: int = 25, level: float = 2.0, steps: int = 4 * _AROUND) -> np.ndarray:
    """Losses at ``level`` with one of ``height`` times that."""
    losses = np.full(steps, level)
    losses[at] *= height
    return losses


def test_spikes_up_to_the_factor_it_is_quiet() -> None:
    assert spikes(seen(losses=jumping(FACTOR)), LIMITS) == []


@pytest.mark.parametrize("at", [_AROUND, 25, 39])
def test_spikes_beyond_it_the_step_is_named(at: int) -> None:
    found = one(spikes(seen(losses=jumping(FACTOR * 1.1, at), snapshots=[]), LIMITS), "note", "")
    assert found.value == pytest.approx(FACTOR * 1.1) and (found.step, found.threshold) == (at, FACTOR)
    assert "jumped to 4.40, 2.2x" in found.message and found.remedy.change == {"lr": 0.017}


def test_spikes_the_highest_is_named() -> None:
    twice = jumping(3.0, at=15) * jumping(5.0, at=30, level=1.0)
    assert one(spikes(seen(losses=twice), LIMITS), "note").step == 30


def test_spikes_small_losses_may_jump() -> None:
    assert spikes(seen(losses=jumping(10.0, level=0.1 * FACTOR / 10)), LIMITS) == []
    one(spikes(seen(losses=jumping(11.0, level=0.1 * FACTOR / 10)), LIMITS), "note")


def test_spikes_short_unfinished_or_spoilt_losses_report_nothing() -> None:
    wild = jumping(9.0)
    assert spikes(seen(losses=wild[:-1]), LIMITS) == []
    assert spikes(seen(losses=wild, ended=False), LIMITS) == []
    assert spikes(seen(losses=np.append(wild, NAN)), LIMITS) == []
