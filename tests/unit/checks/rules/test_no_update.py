"""Weights that do not move."""

from __future__ import annotations

import pytest

from hpo.checks.preflight import Snapshot
from hpo.checks.rules.no_update import _MIN_STEPS, no_update
from tests.helpers.observed import LIMITS, NAN, falling, layer, one, seen, setup, snapshot


def moving(ratio: float, gradient: float = 0.1, step: int = 0) -> Snapshot:
    rows = [layer(name, update_ratio=ratio, gradient_norm=gradient) for name in ("conv1", "classifier")]
    return snapshot(*rows, step=step)


def test_no_update_any_movement_is_enough() -> None:
    assert no_update(seen(snapshots=[moving(0.0), moving(1e-12)]), LIMITS) == []


def test_no_update_none_in_two_looks_is_not() -> None:
    found = one(no_update(seen(snapshots=[moving(0.0), moving(0.0)]), LIMITS), "warn", "no_update")
    assert "no weight has changed in 500 steps" in found.message and found.step == 499
    assert found.remedy.change == {"code": "call_step"}
    assert no_update(seen(snapshots=[moving(0.0)]), LIMITS) == []


@pytest.mark.parametrize(("steps", "count"), [(_MIN_STEPS - 1, 0), (_MIN_STEPS, 1)])
def test_no_update_a_step_that_is_never_made(steps: int, count: int) -> None:
    found = no_update(seen(losses=falling(steps), optimizer_steps=0, snapshots=[]), LIMITS)
    assert len(found) == count
    if found:
        assert f"{steps} losses" in one(found, "warn", "no_update").message


def test_no_update_steps_without_gradients_move_by_decay_alone() -> None:
    decaying = [moving(1e-4, gradient=0.0), moving(1e-4, gradient=0.0)]
    assert "in 2 snapshots" in one(no_update(seen(snapshots=decaying), LIMITS), "warn", "no_update").message
    assert no_update(seen(snapshots=[*decaying, moving(1e-4)]), LIMITS) == []
    assert no_update(seen(snapshots=decaying, preflight=None), LIMITS) == []


def test_no_update_unknown_ratios_report_nothing() -> None:
    assert no_update(seen(snapshots=[moving(NAN), moving(NAN), moving(0.0)]), LIMITS) == []


def test_weights_that_the_optimizer_does_not_have_are_for_another_check() -> None:
    names = ("conv1.weight", "classifier.weight")
    still = [moving(0.0), moving(0.0)]
    assert no_update(seen(snapshots=still, setup=setup(unoptimized=names)), LIMITS) == []
    one(no_update(seen(snapshots=still, setup=setup(unoptimized=names[:1])), LIMITS), "warn", "no_update")


@pytest.mark.parametrize(("is_unchanged", "count"), [(True, 1), (False, 0)])
def test_no_update_of_an_own_loop_may_be_made_without_step(is_unchanged: bool, count: int) -> None:
    """As by an optimizer inside of the one that is known, or by hand."""
    loop = seen(setup=setup(settings={}), optimizer_steps=0, snapshots=[], is_unchanged=is_unchanged)
    assert len(no_update(loop, LIMITS)) == count
