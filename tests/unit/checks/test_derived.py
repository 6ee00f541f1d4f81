"""Quantities that several rules share, against independent sources."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.derived import (
    USUAL_UPDATE,
    chance_loss,
    constant_accuracy,
    gradient_ratio,
    label_smoothing,
    median_ratio,
    trend,
    update_excess,
)
from hpo.checks.observations import Observations
from hpo.checks.preflight import LabelFacts
from tests.helpers.observed import LN10, NAN, falling, layer, preflight, probed, seen, setup, snapshot


@pytest.mark.parametrize("count", [3, 40, 401])
def test_trend_equals_scipys_regression(count: int) -> None:
    losses = falling(count)
    level, slope, error = trend(losses)
    line = stats.linregress(np.arange(count), losses)
    assert slope == pytest.approx(line.slope) and error == pytest.approx(line.stderr, rel=1e-6)
    assert level == pytest.approx(line.intercept + line.slope * (count - 1))
    assert [slope, level] == pytest.approx([np.polyfit(range(count), losses, 1)[0], level])


def test_trend_of_exploded_losses_is_nan() -> None:
    """Without a warning, which pytest turns into an error."""
    assert math.isnan(trend(np.array([2.3, np.inf, np.nan]))[0])


def test_median_ratio_ignores_unknown_layers() -> None:
    shot = snapshot(*(layer(update_ratio=ratio) for ratio in (1e-3, NAN, 0.0, 1.0)))
    assert median_ratio(shot) == 1e-3
    assert math.isnan(median_ratio(snapshot(layer(update_ratio=NAN))))


def updated(*excesses: float, lr: float = 0.05, step: int = 0, optimizer: str = "sgd") -> Observations:
    """First updates of these multiples of the usual size in layers, at a peak learning rate of 0.05."""
    ratio = USUAL_UPDATE.get(optimizer, 1e-3)
    first = snapshot(*(layer(update_ratio=each * ratio) for each in excesses), lr=lr, step=step)
    return seen(snapshots=[first], setup=setup(optimizer=optimizer))


@pytest.mark.parametrize("optimizer", [*USUAL_UPDATE, "rprop"])
def test_update_excess_is_the_median_over_layers(optimizer: str) -> None:
    assert update_excess(updated(2.0, 4.0, 100.0, optimizer=optimizer)) == pytest.approx(4.0)


def test_update_excess_is_altered_to_the_peak_rate() -> None:
    assert update_excess(updated(1.0, lr=0.005)) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("scale", "excess"), [(1.0, 50.0), (0.31, 50.0), (0.1, 5.0), (0.001, 1.0), (NAN, 50.0)]
)
def test_update_excess_of_tiny_weights_is_that_of_usual_ones(scale: float, excess: float) -> None:
    """A step is long compared with tiny weights, whatever the learning rate."""
    tiny = replace(updated(50.0), preflight=preflight(weight_scale=scale))
    assert update_excess(tiny) == pytest.approx(excess)


def test_update_excess_of_tiny_weights_and_short_steps_is_as_measured() -> None:
    tiny = replace(updated(0.5), preflight=preflight(weight_scale=0.01))
    assert update_excess(tiny) == pytest.approx(0.5)


def test_update_excess_ignores_layers_without_an_update() -> None:
    assert update_excess(updated(3.0, 0.0, NAN)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    "unknown",
    [updated(NAN), updated(math.inf), updated(1.0, step=8), updated(1.0, lr=0.0), seen(snapshots=[])],
    ids=["nan", "infinite", "late", "no rate", "no snapshot"],
)
def test_update_excess_is_none_if_unknown(unknown: Observations) -> None:
    assert update_excess(unknown) is None


COUNTED = setup(classes=2, train_class_counts=(450, 50), val_class_counts=(9, 3))
EVEN, UNEVEN, SORTED, PAIR = (LabelFacts(each, 0, 1) for each in ((70, 58), (120, 8), (128, 0), (2,)))


@pytest.mark.parametrize(
    ("known", "train", "val"),
    [
        ({"setup": COUNTED, "preflight": preflight(labels=EVEN, val_labels=EVEN)}, 0.9, 0.75),
        ({"preflight": preflight(labels=UNEVEN, val_labels=EVEN)}, 120 / 128, 0.5),
        ({"preflight": preflight(labels=EVEN, val_labels=UNEVEN)}, 0.5, 120 / 128),
        ({"preflight": preflight(labels=UNEVEN)}, 120 / 128, 120 / 128),
        ({"preflight": preflight(labels=SORTED, val_labels=SORTED)}, 0.5, 0.5),
        ({"preflight": preflight(labels=PAIR)}, 0.5, 0.5),
        ({"preflight": None}, 0.5, 0.5),
    ],
    ids=["counted", "uneven training", "uneven validation", "no validation", "sorted", "pair", "nothing"],
)
def test_constant_accuracy_is_the_largest_class(known: dict[str, Any], train: float, val: float) -> None:
    facts = seen(**{"setup": setup(classes=2), **known})
    assert constant_accuracy(facts, "training") == train
    assert constant_accuracy(facts, "validation") == val


def test_constant_accuracy_of_a_sample_of_ten_equal_classes_is_a_tenth() -> None:
    assert constant_accuracy(seen(), "validation") == 0.1


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_chance_loss_is_the_loss_of_the_best_constant_logits(smoothing: float) -> None:
    """Found by gradient descent on torch's cross-entropy."""
    counts = (475, 25, 100)
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(logits.expand(len(labels), 3), labels, label_smoothing=smoothing)
        value.backward()
        return value

    optimizer.step(loss)
    facts = setup(classes=3, train_class_counts=counts, settings={"label_smoothing": smoothing})
    assert chance_loss(seen(setup=facts)) == pytest.approx(float(loss().detach()), abs=1e-5)


def test_chance_loss_of_equal_classes_is_ln_c() -> None:
    assert chance_loss(seen()) == LN10
    assert chance_loss(seen(setup=setup(train_class_counts=(50,) * 10))) == LN10


@pytest.mark.parametrize(("first", "last", "ratio"), [(0.1, 0.2, 2.0), (0.0, 0.2, math.inf), (0.0, 0.0, NAN)])
def test_gradient_ratio_is_last_over_first(first: float, last: float, ratio: float) -> None:
    rows = (layer("a", gradient_norm=first), layer("b"), layer("c", gradient_norm=last))
    found = gradient_ratio(seen(snapshots=[snapshot(*rows)]))
    assert found is not None
    assert found[0].name == "a" and found[1] == pytest.approx(ratio, nan_ok=True)


def test_gradient_ratio_needs_three_layers() -> None:
    assert gradient_ratio(seen(snapshots=[snapshot(layer("a"), layer("b"))])) is None


@pytest.mark.parametrize("smoothing", [0.1, 0.6])
def test_label_smoothing_is_read_off_the_loss_function(smoothing: float) -> None:
    """As torch's cross_entropy smooths: s spread evenly over all classes."""
    right = 20 * smoothing * 0.9
    probe = probed(even=LN10, right=right, wrong=right + 20 * (1 - smoothing))
    assert label_smoothing(seen(preflight=preflight(loss_probe=probe))) == pytest.approx(smoothing)


def test_label_smoothing_of_the_configuration_comes_first() -> None:
    assert label_smoothing(seen(setup=setup(settings={"label_smoothing": 0.3}))) == 0.3
