"""Remedies: values where numbers allow it, and never what is set already."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.checks.derived import USUAL_UPDATE
from hpo.checks.observations import Observations
from hpo.checks.remedies import (
    add_norm,
    better_start,
    lower_lr,
    raise_lr,
    sound_start,
    two_digits,
    use,
)
from hpo.records import Remedy
from tests.helpers.observed import check_change, layer, seen, setup, snapshot


def updated(*excesses: float, lr: float = 0.05, step: int = 0, optimizer: str = "sgd") -> Observations:
    """First updates of these multiples of the usual size in layers, at a peak learning rate of 0.05."""
    ratio = USUAL_UPDATE.get(optimizer, 1e-3)
    first = snapshot(*(layer(update_ratio=each * ratio) for each in excesses), lr=lr, step=step)
    return seen(snapshots=[first], setup=setup(optimizer=optimizer))


@pytest.mark.parametrize(("excess", "lower", "higher"), [(100.0, 0.0005, 0.15), (0.01, 0.017, 5.0)])
def test_learning_rates_bring_updates_to_their_usual_size(excess: float, lower: float, higher: float) -> None:
    """By a factor of at least three."""
    down, up = lower_lr(updated(excess)), raise_lr(updated(excess))
    assert down.change == {"lr": lower} and f"lower lr to {lower:g}" in down.text
    assert up.change == {"lr": higher} and f"about {higher:g} (it was 0.05)" in up.text


def test_without_updates_learning_rates_go_by_three_and_by_ten() -> None:
    assert lower_lr(seen(snapshots=[])).change == {"lr": 0.017}
    assert raise_lr(seen(snapshots=[])).change == {"lr": 0.5}


def test_a_learning_rate_of_zero_is_raised_too() -> None:
    up = raise_lr(seen(setup=setup(lr=0.0)))
    assert up.change == {"lr": 0.01} and up.text == "raise lr, which is 0, to about 0.01"


@pytest.mark.parametrize("excess", [1e-300, 1e300])
def test_learning_rates_stay_within_what_a_configuration_takes(excess: float) -> None:
    check_change(lower_lr(updated(excess)).change)
    check_change(raise_lr(updated(excess)).change)


def test_two_digits() -> None:
    assert [two_digits(each) for each in (0.01666, 1234.0, 0.0, -0.0196)] == [0.017, 1200.0, 0.0, -0.02]


def settled(**settings: Any) -> Observations:
    return seen(setup=setup(settings=settings), snapshots=[])


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({}, {"initializer": "he"}),
        ({"activation": "tanh"}, {"initializer": "xavier"}),
        ({"activation": "relu", "initializer": "xavier"}, {"initializer": "he"}),
        (
            {"activation": "sigmoid", "initializer": "xavier"},
            {"initializer": "xavier", "batch_norm": "before"},
        ),
        ({"initializer": "he", "batch_norm": "none"}, {"initializer": "he", "batch_norm": "before"}),
        ({"initializer": "he", "batch_norm": "after"}, {"initializer": "he", "batch_norm": "before"}),
    ],
)
def test_a_better_start_is_another_initializer_or_normalization(
    settings: dict[str, Any], change: dict[str, Any]
) -> None:
    assert better_start(settled(**settings)).change == change


def test_a_sound_start_is_what_is_missing_of_three() -> None:
    whole = {"batch_norm": "before", "activation": "relu", "initializer": "he"}
    assert sound_start(settled()).change == whole
    assert sound_start(settled(**{**whole, "activation": "tanh"})).change == {"activation": "relu"}
    assert sound_start(settled(**whole)).change == {"lr": 0.017}


def test_normalization_is_added_once() -> None:
    assert add_norm(settled(batch_norm="none")).change == {"batch_norm": "before"}
    assert add_norm(settled(batch_norm="before", activation="relu")).change == {"initializer": "he"}
    whole = settled(batch_norm="after", activation="relu", initializer="he")
    assert add_norm(whole).change == {"lr": 0.017}


OWN = {"model": "mine.net:build", "batch_size": 64, "lr": 0.05, "augmentation": "none"}
"""A network of the user's, which does not read the options of the bundled ones."""


@pytest.mark.parametrize("remedy", [better_start, sound_start, add_norm])
def test_remedies_for_a_network_of_ones_own_change_no_option_that_it_lacks(remedy: Any) -> None:
    found = remedy(settled(**OWN))
    assert set(found.change) <= set(OWN) and found.text
    assert not any(f"{name}:" in found.text for name in ("initializer", "batch_norm", "activation"))
    assert "batch_norm" in str(add_norm(settled(**OWN, batch_norm="none")).change), "it is set, so it is read"


def test_a_better_start_that_is_set_already_is_another() -> None:
    found = better_start(settled(initializer="he", batch_norm="before"))
    assert found.change == {} and "batch_norm" not in found.text


@pytest.mark.parametrize(
    ("change", "is_offered"),
    [
        ({"augmentation": "flip_crop"}, True),
        ({"batch_size": 64}, False),
        ({"width": 8}, False),
        ({"batch_size": 64, "lr": 0.1}, True),
    ],
)
def test_use_offers_only_what_would_change_something(change: dict[str, Any], is_offered: bool) -> None:
    remedy = use(settled(**OWN), "do", change, "otherwise")
    assert remedy == (Remedy("do", change) if is_offered else Remedy("otherwise"))
