"""Gradients that get lost on their way to the first layer."""

from __future__ import annotations

import math

import pytest

from hpo.checks.observations import Observations
from hpo.checks.preflight import Snapshot
from hpo.checks.rules.gradient_scale import gradient_scale
from tests.helpers.observed import LIMITS, NAN, layer, one, preflight, seen, setup, snapshot

RATIO = LIMITS.gradient_ratio


def gradients(first: float, last: float = 1.0, middle: float = 0.1, step: int = 8) -> Snapshot:
    """Norms of the gradients of three layers with weights of norm 2."""
    norms = {"conv1": first, "conv2": middle, "classifier": last}
    layers = [layer(name, gradient_norm=norm, weight_norm=2.0) for name, norm in norms.items()]
    return snapshot(*layers, step=step)


def looked(shot: Snapshot) -> Observations:
    return seen(snapshots=[shot])


def test_gradient_scale_up_to_the_limit_it_is_quiet() -> None:
    assert gradient_scale(looked(gradients(1.001 / RATIO)), LIMITS) == []
    assert gradient_scale(looked(gradients(1.0, last=0.0)), LIMITS) == []


def test_gradient_scale_beyond_it_gradients_vanish() -> None:
    found = one(gradient_scale(looked(gradients(0.999 / RATIO)), LIMITS), "note", "vanishing_gradients")
    assert found.value == pytest.approx(RATIO / 0.999) and found.threshold == RATIO
    assert (found.layer, found.step) == ("conv1", 8) and "1e+04 times below" in found.message
    assert found.remedy.change == {"batch_norm": "before"}


@pytest.mark.parametrize(("last", "words"), [(1.0, "reaches the first layer"), (0.0, "reaches any layer")])
def test_gradient_scale_none_at_all(last: float, words: str) -> None:
    found = one(gradient_scale(looked(gradients(0.0, last)), LIMITS), "note")
    assert words in found.message and found.value == math.inf


def test_gradient_scale_gradients_are_taken_relative_to_weights() -> None:
    heavy = layer("conv1", gradient_norm=10 / RATIO, weight_norm=100.0)
    shot = snapshot(heavy, layer("conv2"), layer("classifier", gradient_norm=1.0, weight_norm=1.0))
    one(gradient_scale(looked(shot), LIMITS), "note")


def test_gradient_scale_unknown_or_few_layers_report_nothing() -> None:
    assert gradient_scale(looked(gradients(0.0, middle=NAN)), LIMITS) == []
    assert gradient_scale(looked(snapshot(layer(gradient_norm=0.0), layer())), LIMITS) == []
    assert gradient_scale(seen(snapshots=[], preflight=None), LIMITS) == []


def test_gradient_scale_before_training_the_untrained_layers_count() -> None:
    facts = preflight(layers=gradients(0.1 / RATIO, step=-1))
    normed = setup(settings={"batch_norm": "after", "activation": "sigmoid"})
    found = one(gradient_scale(seen(setup=normed, snapshots=[], preflight=facts), LIMITS), "note")
    assert found.step == 0 and found.remedy.change == {"activation": "relu", "initializer": "he"}
