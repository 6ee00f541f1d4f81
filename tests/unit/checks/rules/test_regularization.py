"""Settings that forbid too much, and weights that shrink."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo.checks.preflight import Snapshot
from hpo.checks.rules.regularization import (
    _SHRUNK,
    decayed_weights,
    heavy_regularization,
    shrinking_weights,
)
from hpo.checks.updates import Motion, Updates
from tests.helpers.observed import (
    LIMITS,
    LN10,
    NAN,
    epochs,
    layer,
    one,
    preflight,
    probed,
    seen,
    setup,
    snapshot,
)


def settings(name: str, value: float | None) -> dict[str, Any]:
    return {"setup": setup(dropout=value) if name == "dropout" else setup(settings={name: value})}


MOST = {"dropout": 0.75, "label_smoothing": 0.5, "augmentation_strength": 2.0}


@pytest.mark.parametrize("name", MOST)
def test_regularization_the_most_that_is_usual_is_quiet(name: str) -> None:
    assert heavy_regularization(seen(**settings(name, MOST[name])), LIMITS) == []
    assert heavy_regularization(seen(**settings(name, 0.0)), LIMITS) == []


@pytest.mark.parametrize(
    ("name", "cause", "words", "change"),
    [
        ("dropout", "over_regularized", "dropout 0.76", {"dropout": 0.2}),
        ("label_smoothing", "over_regularized", "label smoothing 0.51", {"label_smoothing": 0.1}),
        (
            "augmentation_strength",
            "augmentation",
            "augmentation_strength 2.01",
            {"augmentation_strength": 1.0, "augmentation": "flip_crop"},
        ),
    ],
)
def test_regularization_more_is_noted(name: str, cause: str, words: str, change: dict[str, Any]) -> None:
    found = one(heavy_regularization(seen(**settings(name, MOST[name] + 0.01)), LIMITS), "note", cause)
    assert found.value == pytest.approx(MOST[name] + 0.01) and found.threshold == MOST[name]
    assert words in found.message and found.remedy.change == change
    assert all(f"{key}: {value}" in found.remedy.text for key, value in change.items())


@pytest.mark.parametrize(("smoothing", "count"), [(0.49, 0), (0.51, 1)])
def test_regularization_smoothing_is_read_off_the_loss_function(smoothing: float, count: int) -> None:
    """Of logits 20 x one-hot: s (C - 1) / C x 20 nats where right, (1 - s / C) x 20 where wrong."""
    probe = probed(right=20 * 0.9 * smoothing, wrong=20 * (1 - smoothing / 10))
    found = heavy_regularization(seen(preflight=preflight(loss_probe=probe)), LIMITS)
    assert [round(each.value, 6) for each in found] == [smoothing] * count


def test_what_is_not_cross_entropy_reports_nothing_about_smoothing() -> None:
    for even in (LN10 + 0.2, NAN):
        odd = preflight(loss_probe=probed(even=even, wrong=1.0))
        assert heavy_regularization(seen(preflight=odd), LIMITS) == []


def weighing(*norms: float, step: int = 0) -> Snapshot:
    return snapshot(*(layer(f"conv{at}", weight_norm=norm) for at, norm in enumerate(norms)), step=step)


def test_regularization_weights_at_a_fifth_are_quiet_and_below_have_shrunk() -> None:
    first = weighing(1.0, 10.0, 100.0)
    for share, count in ((_SHRUNK + 0.001, 0), (_SHRUNK - 0.001, 1)):
        last = weighing(share, 10 * share, 100.0, step=95)
        found = shrinking_weights(seen(snapshots=[first, last]), LIMITS)
        assert len(found) == count
    told = one(found, "note", "over_regularized")
    assert (told.step, told.threshold) == (95, _SHRUNK) and told.value == pytest.approx(_SHRUNK - 0.001)
    assert "19.9%" in told.message and "step 95" in told.message
    assert told.remedy.change == {"weight_decay": 5e-4, "l1": 0.0, "max_norm": None}


def test_regularization_unknown_weights_report_nothing() -> None:
    for first, last in ((NAN, 0.1), (1.0, NAN), (0.0, 0.0)):
        assert shrinking_weights(seen(snapshots=[weighing(first), weighing(last)]), LIMITS) == []
    assert shrinking_weights(seen(snapshots=[weighing(0.1)]), LIMITS) == []


def test_decayed_weights_hardly_anything_is_left_and_nothing_was_learned() -> None:
    decayed = {"setup": setup(weight_decay=30.0), "losses": np.full(100, 1.0), "optimizer_steps": 100}
    shrunk = Updates(shrunk=0.1)
    found = one(decayed_weights(seen(**decayed, updates=shrunk), LIMITS), "warn", "over_regularized")
    assert found.remedy.change == {"weight_decay": 5e-4}
    assert decayed_weights(seen(**decayed, updates=Updates(shrunk=0.3)), LIMITS) == []
    falls = {**decayed, "losses": np.linspace(1, 0.5, 100), "curve": epochs([0.9])}
    assert decayed_weights(seen(**falls, updates=shrunk), LIMITS) == []
    wild = Updates(shrunk=0.1, motions=(Motion(0, 1e-3, 0.5),))
    assert decayed_weights(seen(**decayed, updates=wild), LIMITS) == []


def test_decayed_weights_without_decay_something_else_holds_them_near_0() -> None:
    limited = {"setup": setup(weight_decay=0.0), "losses": np.full(100, 1.0), "optimizer_steps": 100}
    one(decayed_weights(seen(**limited, updates=Updates(shrunk=1e-5)), LIMITS), "warn", "vanishing_gradients")
    assert decayed_weights(seen(**limited, updates=Updates(shrunk=0.1)), LIMITS) == []
