"""Units that answer every image alike."""

from __future__ import annotations

import pytest

from hpo.checks.rules.dead_units import dead_units
from tests.helpers.observed import LIMITS, epochs, falling, layer, one, preflight, seen, snapshot


def shots(*shares: float, steps: tuple[int, ...] = (0, 8)) -> list:  # type: ignore[type-arg]
    last = layer("classifier", nonlinearity="", dead=1.0)
    return [
        snapshot(layer("conv1", dead=each), last, step=step)
        for each, step in zip(shares, steps, strict=False)
    ]


def test_dead_units_just_below_and_just_above() -> None:
    assert dead_units(seen(snapshots=shots(LIMITS.dead_share - 0.001)), LIMITS) == []
    found = one(dead_units(seen(snapshots=shots(LIMITS.dead_share + 0.001)), LIMITS), "warn", "dead_units")
    assert found.layer == "conv1" and "90%" in found.message


def test_dead_units_from_the_start_it_is_the_start() -> None:
    before = preflight(layers=snapshot(layer("conv1", dead=1.0), layer("classifier", nonlinearity="")))
    one(dead_units(seen(preflight=before, snapshots=shots(0.95)), LIMITS), "warn", "bad_init")


def test_dead_units_a_whole_layer_in_two_looks_is_hopeless() -> None:
    flat = falling(80, end=2.3, noise=0.0)
    one(dead_units(seen(snapshots=shots(1.0, 1.0), losses=flat), LIMITS), "fatal")
    one(dead_units(seen(snapshots=shots(0.2, 1.0)), LIMITS), "warn")


def test_an_activation_that_is_deaf_to_both_signs_is_at_fault_itself() -> None:
    rows = (layer("conv1", dead=1.0, two_signed=0.9), layer("classifier", nonlinearity=""))
    found = one(
        dead_units(seen(preflight=preflight(layers=snapshot(*rows)), snapshots=shots(0.95)), LIMITS), "warn"
    )
    assert found.cause == "dead_units" and found.remedy.change == {"code": "replace_hidden_activation"}
    assert "their inputs have both signs" in found.message


def test_dead_units_without_gradient_while_alive_is_vanishing_gradients() -> None:
    alive = snapshot(layer("conv1", dead=0.1, gradient_norm=0.0), layer("classifier"), step=8)
    found = one(dead_units(seen(snapshots=[alive, *shots(0.95, steps=(32,))]), LIMITS), "warn")
    assert found.cause == "vanishing_gradients"


@pytest.mark.parametrize(
    ("end", "accuracy", "severity"), [(2.3, 0.3, "fatal"), (1.8, 0.3, "warn"), (0.3, 0.9, "note")]
)
def test_dead_units_stop_nothing_that_learns(end: float, accuracy: float, severity: str) -> None:
    losses = falling(80, end=end, noise=0.0)
    found = dead_units(seen(snapshots=shots(1.0, 1.0), losses=losses, curve=epochs([accuracy])), LIMITS)
    one(found, severity)
