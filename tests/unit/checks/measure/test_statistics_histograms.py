"""Histograms against numpy's on the same activations, and samples that leave nothing out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpo.checks.babysitter import Babysitter
from hpo.checks.measure.examples import plain_forward
from hpo.checks.measure.probes import Probe
from hpo.checks.measure.statistics import BINS, SAMPLE, histogram, sample
from hpo.records import LayerStatistics

IMAGES, CLASSES = 24, 10


def small_network() -> nn.Sequential:
    """Of 960 and 240 activations: all are in the sample."""
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 40), nn.ReLU(), nn.Linear(40, CLASSES))


def look(model: nn.Module, images: Tensor, *, histograms: bool = True) -> tuple[LayerStatistics, ...]:
    probe = Probe(model, plain_forward, images, torch.zeros(len(images), dtype=torch.int64))
    return probe.snapshot(0, 0.1, None, histograms=histograms).read().layers


def test_statistics_histograms_a_look_counts_activations_as_numpy_does() -> None:
    model, images = small_network(), torch.randn(IMAGES, 3, 4, 4)
    with torch.no_grad():
        hidden = model[:3](images)
        expected = [hidden.numpy(), model[3](hidden).numpy()]
    for layer, values in zip(look(model, images), expected, strict=True):
        assert (layer.low, layer.high) == (values.min(), values.max())
        counts, _ = np.histogram(values.astype(np.float64), bins=BINS, range=(layer.low, layer.high))
        assert layer.counts == tuple(counts)
        assert sum(layer.counts) == values.size


def test_statistics_histograms_an_activation_in_place_counts_after_it() -> None:
    model, images = small_network(), torch.randn(IMAGES, 3, 4, 4)
    model[2] = nn.ReLU(inplace=True)
    assert look(model, images)[0].low == 0


def test_a_look_takes_none_unasked_and_of_numbers_that_are_not_finite() -> None:
    model: Any = small_network()
    images = torch.randn(IMAGES, 3, 4, 4)
    assert [layer.counts for layer in look(model, images, histograms=False)] == [(), ()]
    with torch.no_grad():
        model[3].bias[0] = math.inf
        model[1].bias[0] = math.nan
    assert [layer.counts for layer in look(model, images)] == [(), ()]


def test_values_that_are_all_the_same_lie_in_the_first_bin() -> None:
    low, high, *counts = histogram(torch.full((50,), 0.25)).tolist()
    assert (low, high) == (0.25, 0.25)
    assert counts == [50] + [0] * (BINS - 1)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("shape", [(32, 16, 32, 32), (32, 48, 8, 8), (32, 60, 4, 4), (64, 500)])
def test_statistics_histograms_a_sample_is_of_all_images_and_units_alike(
    shape: tuple[int, ...], last: bool
) -> None:
    if len(shape) == 4 and last:
        whole = torch.empty(shape).to(memory_format=torch.channels_last)
    else:
        whole = torch.empty(shape)
    for dim in (0, 1):  # each value says whose it is
        index = torch.arange(shape[dim], dtype=torch.float32)
        whole.copy_(index.view([-1 if each == dim else 1 for each in range(len(shape))]).expand(shape))
        found = torch.bincount(sample(whole).long(), minlength=shape[dim])
        share = int(found.sum()) / shape[dim]
        assert 0.6 * SAMPLE < found.sum() <= SAMPLE
        assert found.min() > 0.7 * share - 1 and found.max() < 1.3 * share + 1


def test_statistics_histograms_a_sample_is_a_copy() -> None:
    values = torch.ones(4, 3)
    taken = sample(values)
    values.zero_()
    assert taken.tolist() == [1.0] * 12


@pytest.mark.parametrize(
    ("total", "expected"),
    [(1600, [0, 8, 32, 199, 399, 799, 1599]), (1700, [0, 8, 32, 211, 423, 847, 1695])],
)
def test_histograms_are_taken_early_then_ever_more_rarely_and_at_the_end(
    total: int, expected: list[int]
) -> None:
    model = small_network()
    images, labels = torch.randn(4, 3, 4, 4), torch.zeros(4, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Babysitter(
        model, optimizer, classes=CLASSES, epochs=1, steps_per_epoch=total, checks="standard"
    ) as sitter:
        sitter.load_state_dict(sitter.state_dict(), images, labels)
        for _ in range(total):
            optimizer.step()
        sitter.state_dict()
    taken = [look.step for look in sitter.layers if look.layers[0].counts]
    assert taken == expected
    assert len(sitter.layers) > len(taken)
