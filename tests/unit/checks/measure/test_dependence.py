"""How much labels depend on features."""

import math

import pytest
import torch

from hpo.checks.measure.dependence import _kernel, _permuted, _standardized, dependence


def _pair(columns: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 5, generator=generator)
    return features, features[:, :columns] + torch.randn(60, columns, generator=generator)


def test_permuted_moments_are_those_of_many_permutations() -> None:
    features, labels = _pair()
    kernel, answers = _kernel(_standardized(features[None])), _standardized(labels[None])
    mean, variance = _permuted(kernel, answers)

    generator = torch.Generator().manual_seed(1)
    orders = torch.stack([torch.randperm(60, generator=generator) for _ in range(4000)])
    shuffled = answers[0][orders]
    values = (shuffled * (kernel[0] @ shuffled)).sum((1, 2))
    assert float(mean) == pytest.approx(float(values.mean()), rel=0.02)
    assert float(variance) == pytest.approx(float(values.var()), rel=0.1)


def test_dependence_of_unrelated_labels_has_mean_0_and_deviation_1() -> None:
    generator = torch.Generator().manual_seed(2)
    draw = lambda: torch.randn(24, 3, generator=generator)  # noqa: E731
    values = torch.tensor([dependence([draw()], [draw()]) for _ in range(400)])
    assert float(values.mean()) == pytest.approx(0.0, abs=0.15)
    assert float(values.std()) == pytest.approx(1.0, abs=0.15)


def test_dependence_of_blocks_skips_constant_and_infinite_ones() -> None:
    features, labels = _pair()
    infinite = features.clone()
    infinite[0, 0] = torch.inf
    blocks = [features, torch.ones(60, 5), infinite, features[:4]]
    assert dependence(blocks, [labels, labels, labels, labels[:4]]) == dependence([features], [labels]) > 3
    assert math.isnan(dependence(blocks[1:], [labels, labels, labels[:4]]))


def test_dependence_ignores_constant_columns_of_some_blocks() -> None:
    features, labels = _pair()
    widened = torch.cat([features, torch.full((60, 1), 7.0)], 1)
    assert dependence([widened], [labels]) == pytest.approx(dependence([features], [labels]), rel=1e-3)
