"""Parameters that are frozen, forgotten, or not reached by a gradient."""

from __future__ import annotations

from hpo.checks.rules.parameters import gradient_reaches, trained_parameters
from tests.helpers.observed import LIMITS, one, preflight, seen, setup

NAMES = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "classifier.weight")


def test_parameters_a_sound_setup_passes() -> None:
    assert "all 6 parameters" in one(trained_parameters(seen(), LIMITS), "pass", "").message


def test_parameters_one_frozen_parameter_is_enough() -> None:
    found = one(trained_parameters(seen(setup=setup(frozen=NAMES[:1])), LIMITS), "warn", "frozen_parameters")
    assert (found.value, found.threshold) == (1.0, 0.0)
    assert found.message == "requires_grad is off for conv1.weight"
    assert found.remedy.change == {"code": "unfreeze"}


def test_parameters_one_that_the_optimizer_lacks_is_enough() -> None:
    found = one(trained_parameters(seen(setup=setup(unoptimized=NAMES[:1])), LIMITS), "warn")
    assert (found.cause, found.value) == ("frozen_parameters", 1.0)
    assert found.message == "the optimizer lacks conv1.weight"
    assert found.remedy.change == {"code": "give_all_parameters"}


def test_parameters_three_names_are_enough_and_strangers_are_counted() -> None:
    foreign = seen(setup=setup(unoptimized=NAMES, foreign_parameters=5))
    found = one(trained_parameters(foreign, LIMITS), "warn")
    assert (
        "conv1.weight, conv1.bias, conv2.weight and 2 more but has 5 parameters of another" in found.message
    )
    assert found.value == 5.0
    three = one(trained_parameters(seen(setup=setup(frozen=NAMES[:3])), LIMITS), "warn")
    assert three.message.endswith("conv1.weight, conv1.bias and conv2.weight")


def test_parameters_a_gradient_reaches_all_or_it_is_detached() -> None:
    one(gradient_reaches(seen(), LIMITS), "pass", "")
    facts = preflight(without_gradient=NAMES[:2])
    found = one(gradient_reaches(seen(preflight=facts), LIMITS), "warn", "detached")
    assert found.message == "no gradient reaches conv1.weight and conv1.bias" and found.value == 2.0
    assert found.remedy.change == {"code": "reattach"}
