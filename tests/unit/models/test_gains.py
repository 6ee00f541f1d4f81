"""Gains against torch's table, closed forms and Monte Carlo in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from hpo.models.activations import ACTIVATIONS
from hpo.models.gains import GAINS, gain
from hpo.models.options import NetworkOptions


def test_every_activation_has_a_gain() -> None:
    assert set(GAINS) == set(ACTIVATIONS)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("sigmoid", None), ("tanh", None), ("relu", None), ("leaky_relu", 0.3), ("linear", None)],
)
def test_gains_of_torchs_table(name: str, parameter: float | None) -> None:
    options = NetworkOptions(activation=name, negative_slope=0.3)
    assert gain(options) == pytest.approx(torch.nn.init.calculate_gain(name, parameter), rel=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_gain_of_elu_in_closed_form(alpha: float) -> None:
    # E[f^2] = 1/2 + alpha^2 E[(e^z - 1)^2; z < 0], and E[e^(tz); z < 0] = e^(t^2/2) Phi(-t).
    negative = math.e**2 * ndtr(-2) - 2 * math.exp(0.5) * ndtr(-1) + 0.5
    expected = 1 / math.sqrt(0.5 + alpha**2 * negative)
    assert gain(NetworkOptions(activation="elu", elu_alpha=alpha)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("pieces", "mean_square"),
    [(2, 1.0), (3, 1 + math.sqrt(3) / (2 * math.pi)), (4, 1 + math.sqrt(3) / math.pi)],
)
def test_gain_of_maxout_from_the_moments_of_normal_order_statistics(pieces: int, mean_square: float) -> None:
    options = NetworkOptions(activation="maxout", maxout_pieces=pieces)
    assert gain(options) == pytest.approx(1 / math.sqrt(mean_square), rel=1e-6)


@pytest.mark.parametrize("name", ["gelu", "silu", "softplus", "selu", "prelu"])
def test_gains_keep_the_mean_square(name: str) -> None:
    z = np.random.default_rng(0).standard_normal(2_000_000)
    f = {
        "gelu": lambda: z * ndtr(z),
        "silu": lambda: z / (1 + np.exp(-z)),
        "softplus": lambda: np.log1p(np.exp(z)),
        "selu": lambda: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z)),
        "prelu": lambda: np.where(z > 0, z, z / 4),
    }[name]()
    assert gain(NetworkOptions(activation=name)) ** 2 * np.mean(f**2) == pytest.approx(1, abs=0.005)


def test_gain_of_rrelu_averages_over_its_slopes() -> None:
    slopes = np.random.default_rng(0).uniform(1 / 8, 1 / 3, 1_000_000)
    expected = math.sqrt(2 / (1 + np.mean(slopes**2)))
    assert gain(NetworkOptions(activation="rrelu")) == pytest.approx(expected, abs=1e-4)
