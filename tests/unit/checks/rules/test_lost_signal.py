"""Layers that answer every image alike."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.rules.lost_signal import _ALL, lost_signal
from hpo.records import LayerStatistics
from tests.helpers.observed import LIMITS, NAN, images, layer, one, preflight, seen, snapshot


def network(*layers: LayerStatistics, std: float = 1.0) -> Observations:
    last = layer("classifier", nonlinearity="")
    return seen(preflight=preflight(images=images(std=std), layers=snapshot(*layers, last)))


def test_lost_signal_a_layer_with_some_life_is_quiet() -> None:
    assert lost_signal(network(layer("conv1"), layer("conv2", constant_outputs=_ALL)), LIMITS) == []
    assert lost_signal(network(layer("conv1", constant_outputs=NAN)), LIMITS) == []


def test_lost_signal_the_first_constant_layer_is_named() -> None:
    layers = [layer(name, constant_outputs=1.0, dead=1.0) for name in ("conv2", "conv3")]
    found = one(lost_signal(network(layer("conv1"), *layers), LIMITS), "warn", "ignores_input")
    assert (found.layer, found.value, found.threshold) == ("conv2", 1.0, _ALL)
    assert "same output" in found.message and found.remedy.change == {"code": "reattach"}


def test_lost_signal_the_classifier_counts() -> None:
    shot = snapshot(layer("conv1"), layer("classifier", nonlinearity="", constant_outputs=1.0))
    assert one(lost_signal(seen(preflight=preflight(layers=shot)), LIMITS), "warn").layer == "classifier"


def test_lost_signal_is_explained_by_dead_units_or_constant_images() -> None:
    quiet = layer("conv2", constant_outputs=1.0)
    assert lost_signal(network(layer("conv1", dead=1.0), quiet), LIMITS) == []
    assert lost_signal(network(quiet, std=0.0), LIMITS) == []
    assert lost_signal(network(quiet, std=NAN), LIMITS) == []


def test_lost_signal_weights_of_zero_are_another_matter() -> None:
    assert lost_signal(network(layer("conv1", constant_outputs=1.0, weight_norm=0.0)), LIMITS) == []
