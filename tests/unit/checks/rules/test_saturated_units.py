"""Activations at the flat ends."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.preflight import Snapshot
from hpo.checks.rules.saturated_units import saturated_units
from tests.helpers.observed import LIMITS, NAN, layer, one, preflight, seen, setup, snapshot

SHARE = LIMITS.saturated_share


def flat(*shares: float, last: float = NAN, step: int = 8) -> Snapshot:
    hidden = [
        layer(f"conv{number}", nonlinearity="Tanh", saturated=share) for number, share in enumerate(shares, 1)
    ]
    return snapshot(*hidden, layer("classifier", saturated=last), step=step)


def looked(*shots: Snapshot) -> Observations:
    return seen(snapshots=list(shots), setup=setup(settings={"activation": "tanh"}))


def test_saturated_units_just_below_is_quiet() -> None:
    assert saturated_units(looked(flat(SHARE - 0.001, NAN, 0.0)), LIMITS) == []


def test_saturated_units_the_worst_layer_is_named() -> None:
    found = one(saturated_units(looked(flat(SHARE, SHARE + 0.05, NAN)), LIMITS), "note", "saturated_units")
    assert (found.layer, found.step) == ("conv2", 8)
    assert (found.value, found.threshold) == (SHARE + 0.05, SHARE)
    assert "95% of the Tanh activations" in found.message and found.remedy.change == {"initializer": "xavier"}


def test_only_the_latest_look_counts_and_not_the_classifier() -> None:
    assert saturated_units(looked(flat(1.0), flat(0.1)), LIMITS) == []
    assert saturated_units(looked(flat(0.1, last=1.0)), LIMITS) == []


def test_saturated_units_unknown_is_quiet() -> None:
    assert saturated_units(looked(flat(NAN, NAN)), LIMITS) == []
    assert saturated_units(seen(snapshots=[], preflight=None), LIMITS) == []


def test_saturated_units_before_training_the_untrained_layers_count() -> None:
    facts = preflight(layers=flat(1.0, step=-1))
    assert one(saturated_units(seen(snapshots=[], preflight=facts), LIMITS), "note").step == 0
