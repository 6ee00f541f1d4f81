"""First steps that throw the loss far up."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.checks.derived import USUAL_UPDATE
from hpo.checks.observations import Observations
from hpo.checks.rules.rough_start import _ABOVE, _STEPS, rough_start
from tests.helpers.observed import LIMITS, LN10, NAN, layer, one, seen, snapshot

LARGE = 1.01 * LIMITS.update_factor * USUAL_UPDATE["sgd"]


def thrown(level: float, ratio: float = LARGE, steps: int = 200) -> Observations:
    """A loss of ``level`` x ln 10 in the first steps, and of 1.5 afterwards."""
    losses = np.full(steps, 1.5)
    losses[:_STEPS] = level * LN10
    return seen(losses=losses, snapshots=[snapshot(layer(update_ratio=ratio))])


def test_rough_start_a_high_loss_after_a_large_first_step_is_a_rough_start() -> None:
    found = one(rough_start(thrown(_ABOVE + 0.01), LIMITS), "warn", "lr_too_high")
    assert found.value == pytest.approx(_ABOVE + 0.01) and found.threshold == _ABOVE
    assert "1.5x ln C" in found.message and "8x the usual size" in found.message
    assert found.remedy.change["lr"] < 0.05 and "warmup_epochs" in found.remedy.text


def test_rough_start_one_sign_alone_is_not_enough() -> None:
    assert rough_start(thrown(_ABOVE - 0.01), LIMITS) == []
    assert rough_start(thrown(3.0, ratio=0.98 * LARGE), LIMITS) == []


def test_rough_start_what_is_short_under_way_or_unknown_reports_nothing() -> None:
    assert rough_start(thrown(3.0, steps=2 * _STEPS - 1), LIMITS) == []
    assert rough_start(thrown(NAN), LIMITS) == []
    assert rough_start(thrown(3.0, ratio=NAN), LIMITS) == []
    under_way = thrown(3.0)
    under_way.ended = False
    assert rough_start(under_way, LIMITS) == []
