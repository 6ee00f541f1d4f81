"""The gain of each activation: the factor of a layer's weights with which signals keep their size.

He et al. 2015 (eq. 7-10): if a layer's outputs z are N(0, 1) and f is the activation, weights of variance
gain^2 / n give the next layer outputs of variance 1 when gain^2 = 1 / E[f(z)^2]. That is the square root of 2
for ReLU, and is applied here to every activation without a published gain (docs/models.md lists the values).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from .activations import ACTIVATIONS, RReLU
from .options import NetworkOptions


def gain(options: NetworkOptions) -> float:
    """Return the gain of the options' activation."""
    return GAINS[options.activation](options)


def _leaky(mean_square_slope: float) -> float:
    """sqrt(2 / (1 + a^2)), He et al. 2015, eq. 15."""
    return math.sqrt(2 / (1 + mean_square_slope))


def _rrelu(options: NetworkOptions) -> float:
    low, high = RReLU().lower, RReLU().upper
    return _leaky((low * low + low * high + high * high) / 3)  # E[a^2] of a uniform slope


def _fitting(options: NetworkOptions) -> float:
    return 1 / math.sqrt(_mean_square(options.activation, options.elu_alpha))


def _maxout(options: NetworkOptions) -> float:
    return 1 / math.sqrt(_mean_square_of_largest(options.maxout_pieces))


GAINS: dict[str, Callable[[NetworkOptions], float]] = {
    # torch.nn.init.calculate_gain has these two. (1 / E[f^2] would give 1.85 and 1.59.)
    "sigmoid": lambda options: 1.0,
    "tanh": lambda options: 5 / 3,
    "lecun_tanh": lambda options: 1.0,  # made for variance 1 / n: LeCun et al. 1998, 4.6
    "relu": lambda options: _leaky(0.0),
    "leaky_relu": lambda options: _leaky(options.negative_slope**2),
    "prelu": lambda options: _leaky(0.25**2),
    "rrelu": _rrelu,
    "elu": _fitting,
    # Its fixed point needs variance 1 / n: Klambauer et al. 2017. (torch's table has 3/4, with a warning.)
    "selu": lambda options: 1.0,
    "gelu": _fitting,
    "silu": _fitting,
    "softplus": _fitting,
    "maxout": _maxout,
    "linear": lambda options: 1.0,
}


def _grid() -> tuple[Tensor, Tensor]:
    """Return points z in float64 and the standard normal density there."""
    z = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    return z, torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


@cache
def _mean_square(activation: str, elu_alpha: float) -> float:
    """E[f(z)^2] for z from N(0, 1), by the trapezoid rule."""
    z, density = _grid()
    f = ACTIVATIONS[activation](NetworkOptions(activation=activation, elu_alpha=elu_alpha), 1)
    return float(torch.trapezoid(f(z) ** 2 * density, z))


@cache
def _mean_square_of_largest(pieces: int) -> float:
    """E[max(z_1, ..., z_k)^2] for k independent pieces: their largest has density k phi(z) Phi(z)^(k - 1)."""
    z, density = _grid()
    below = torch.special.ndtr(z)
    return float(torch.trapezoid(z**2 * pieces * density * below ** (pieces - 1), z))
