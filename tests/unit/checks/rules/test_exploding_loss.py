"""Losses that leave, and losses that come back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.checks.observations import TensorFacts
from hpo.checks.registry import Check
from hpo.checks.rules.exploding_loss import WINDOW, diverging_loss, exploding_loss, stayed_finite
from tests.helpers.observed import LIMITS, LN10, layer, one, seen, snapshot

LIMIT = LIMITS.explosion_factor * LN10


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_exploding_loss_a_loss_that_is_not_finite_is_fatal_where_it_is(value: float) -> None:
    found = one(exploding_loss(seen(losses=np.array([2.3, 2.2, value, 2.0])), LIMITS), "fatal", "lr_too_high")
    assert found.step == 2 and str(value) in found.message
    assert stayed_finite(seen(losses=np.array([2.3, value])), LIMITS) == []


@pytest.mark.parametrize("check", [exploding_loss, diverging_loss])
def test_a_loss_that_is_not_finite_before_any_step_is_no_matter_of_lr(check: Check) -> None:
    bad = TensorFacts((8, 3), floats=True, low=math.nan, high=math.nan)
    found = one(check(seen(losses=np.array([math.nan, math.nan])), LIMITS), "fatal", "wrong_loss")
    assert "before any step" in found.message
    one(check(seen(losses=np.array([math.nan]), inputs=bad), LIMITS), "fatal", "input_scale")


@pytest.mark.parametrize("check", [exploding_loss, diverging_loss])
def test_a_loss_that_falls_to_minus_infinity_has_the_wrong_sign(check: Check) -> None:
    found = one(check(seen(losses=np.array([-1.0, -1e30, -math.inf])), LIMITS), "fatal", "wrong_loss")
    assert found.remedy.change == {"code": "fix_loss_sign"} and found.step == 2


def staying(level: float) -> np.ndarray:
    return np.concatenate([[LN10], np.full(2 * WINDOW, level)])


def test_exploding_loss_the_threshold_is_three_times_the_first() -> None:
    assert exploding_loss(seen(losses=staying(LIMIT * 0.999)), LIMITS) == []
    found = one(exploding_loss(seen(losses=staying(LIMIT * 1.001)), LIMITS), "fatal")
    assert found.threshold == pytest.approx(LIMIT) and found.remedy.change["lr"] == pytest.approx(
        0.05 / 3, rel=0.05
    )
    lucky = np.concatenate([[0.1], np.full(2 * WINDOW, LIMIT * 0.999)])
    assert exploding_loss(seen(losses=lucky), LIMITS) == []


def test_exploding_loss_a_loss_on_its_way_back_is_a_note() -> None:
    losses = np.concatenate([[LN10], np.full(WINDOW, 10 * LIMIT), np.full(WINDOW, 2 * LIMIT)])
    one(exploding_loss(seen(losses=losses), LIMITS), "note")


def test_exploding_loss_large_first_updates_make_it_surer() -> None:
    wild = [snapshot(layer(update_ratio=1.0), layer("classifier", update_ratio=1.0))]
    sure = one(exploding_loss(seen(losses=staying(2 * LIMIT), snapshots=wild), LIMITS), "fatal")
    plain = one(exploding_loss(seen(losses=staying(2 * LIMIT), snapshots=[]), LIMITS), "fatal")
    assert sure.confidence > plain.confidence


def test_exploding_loss_nothing_seen_nothing_reported() -> None:
    assert exploding_loss(seen(losses=np.empty(0)), LIMITS) == []
