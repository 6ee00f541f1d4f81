"""Moments against NumPy in float64, and the kinds of values in which a shortcut would go wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.checks.measure.statistics import std_mean, unit_extremes

SHAPE = (16, 5, 12, 12)


def values(offset: float = 0.0, scale: float = 1.0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3)) * scale + offset


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("offset", "scale"), [(0.0, 1.0), (-3.0, 0.1), (1000.0, 1.0), (0.0, 1e-6), (1e6, 1e5), (0.0, 1e15)]
)
def test_statistics_moments_moments_are_those_of_numpy(
    layout: torch.memory_format, offset: float, scale: float
) -> None:
    given = values(offset, scale).to(memory_format=layout)
    before = given.clone()
    std, mean = std_mean(given)
    exact = given.double().numpy()
    assert float(std) == pytest.approx(np.std(exact, ddof=1), rel=1e-5)
    assert float(mean) == pytest.approx(exact.mean(), rel=1e-6, abs=1e-6 * scale)
    assert torch.equal(given, before)


def test_statistics_moments_one_value_far_from_the_others_may_come_first() -> None:
    given = values()
    given[0, 0, 0, 0] = 1e6
    std, mean = std_mean(given)
    exact = given.double().numpy()
    assert float(std) == pytest.approx(np.std(exact, ddof=1), rel=1e-5)
    assert float(mean) == pytest.approx(exact.mean(), abs=1e-4 * np.std(exact))


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 255.0, 1e-20, 3e30])
def test_statistics_moments_equal_values_deviate_by_exactly_nothing(value: float) -> None:
    given = torch.full(SHAPE, value)
    std, mean = std_mean(given)
    assert float(std) == 0.0
    assert torch.equal(mean, given[0, 0, 0, 0])


@pytest.mark.parametrize("place", [(0, 0, 0, 0), (7, 2, 3, 4)])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_statistics_moments_values_that_are_not_numbers_are_not_hidden(
    place: tuple[int, ...], value: float
) -> None:
    given = values()
    given[place] = value
    std, mean = std_mean(given)
    assert not std.isfinite()
    assert not mean.isfinite()


def test_statistics_moments_a_single_value_has_no_deviation() -> None:
    std, mean = std_mean(torch.tensor([4.0]))
    assert std.isnan()
    assert mean == 4.0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_moments_extremes_of_each_unit(layout: torch.memory_format, dtype: torch.dtype) -> None:
    given = values().to(dtype).to(memory_format=layout)
    low, high = unit_extremes(given)
    exact = given.float().numpy()
    assert low.tolist() == exact.min((0, 2, 3)).tolist()
    assert high.tolist() == exact.max((0, 2, 3)).tolist()


@pytest.mark.parametrize("shape", [(16, 5), (16, 1), (7, 5, 3), (1, 5, 4, 4), (6, 1, 4, 4), (4, 3, 2, 2, 2)])
def test_statistics_moments_extremes_of_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    over = tuple(dim for dim in range(len(shape)) if dim != 1)
    for laid_out in (given, given.movedim(1, -1).contiguous().movedim(-1, 1), given.flip(0)):
        low, high = unit_extremes(laid_out)
        assert low.tolist() == given.numpy().min(over).tolist()
        assert high.tolist() == given.numpy().max(over).tolist()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_statistics_moments_a_unit_that_has_no_number_has_no_extremes(layout: torch.memory_format) -> None:
    given = values().to(memory_format=layout)
    given[2, 1, 3, 3] = torch.nan
    extremes = unit_extremes(given)
    assert len(extremes) == 2
    for extreme in extremes:
        assert extreme.isnan().tolist() == [False, True, False, False, False]
