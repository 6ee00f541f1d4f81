"""How far the first step moves the weights."""

from __future__ import annotations

import pytest

from hpo.checks.derived import USUAL_UPDATE
from hpo.checks.observations import Observations
from hpo.checks.rules.update_ratio import update_ratio
from tests.helpers.observed import LIMITS, NAN, layer, one, seen, setup, snapshot

FACTOR = LIMITS.update_factor


def moved(excess: float, optimizer: str = "sgd", step: int = 0) -> Observations:
    shot = snapshot(layer(update_ratio=excess * USUAL_UPDATE[optimizer]), step=step)
    return seen(snapshots=[shot], setup=setup(optimizer=optimizer))


@pytest.mark.parametrize("optimizer", USUAL_UPDATE)
@pytest.mark.parametrize("excess", [1.001 / FACTOR, 1.0, 0.999 * FACTOR])
def test_update_ratio_inside_is_quiet(excess: float, optimizer: str) -> None:
    assert update_ratio(moved(excess, optimizer), LIMITS) == []


@pytest.mark.parametrize("optimizer", USUAL_UPDATE)
@pytest.mark.parametrize(
    ("excess", "limit", "cause", "lr"),
    [(1.001 * FACTOR, FACTOR, "lr_too_high", 0.0062), (0.999 / FACTOR, 1 / FACTOR, "lr_too_low", 0.4)],
)
def test_update_ratio_outside_is_a_matter_of_lr(
    excess: float, limit: float, cause: str, lr: float, optimizer: str
) -> None:
    found = one(update_ratio(moved(excess, optimizer), LIMITS), "note", cause)
    assert found.value == pytest.approx(excess) and found.threshold == limit
    assert f"by {excess * USUAL_UPDATE[optimizer]:.1e} of their size, {excess:.2g}x" in found.message
    assert found.remedy.change == {"lr": lr}


@pytest.mark.parametrize("unknown", [moved(NAN), moved(0.0), moved(100.0, step=8), seen(snapshots=[])])
def test_update_ratio_unknown_first_steps_report_nothing(unknown: Observations) -> None:
    assert update_ratio(unknown, LIMITS) == []
