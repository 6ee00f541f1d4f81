"""Backward's derivative against a numeric one, in float64."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.measure.gradients import loss_gradients
from hpo.checks.measure.untouched import undisturbed
from hpo.heartbeat import beat

DOUBLE_IMAGES = 8
_DOUBLE_STEP = 1e-4
"""Step of the numeric derivative over the weights' norm: small for kinks, large for rounding."""


def gradient_error(model: nn.Module, images: Any, labels: Tensor | None) -> float | None:
    """Return the largest relative error of backward's derivative, along each parameter's gradient.

    Compares with (L(w + h v) - L(w - h v)) / 2h in float64, normalization on batch statistics. A kink of a
    ReLU within the step adds a small error; a wrong backward pass is off by its own size. NaN if a loss or a
    derivative is; None without classes or for inputs of whole numbers.
    """
    if labels is None or not isinstance(images, Tensor) or not images.is_floating_point():
        return None
    exact, images = copy.deepcopy(model).double(), images.double()
    errors = [0.0]
    with undisturbed(exact, batch_statistics=True), torch.enable_grad():
        named = [parameter for parameter in exact.parameters() if parameter.requires_grad]
        gradients = loss_gradients(_exact_loss(exact, images, labels), named)
        scale = math.sqrt(sum(float(each.square().sum()) for each in gradients if each is not None))
        with torch.no_grad():
            for parameter, gradient in zip(named, gradients, strict=True):
                if gradient is not None and scale != 0:
                    errors.append(_along(exact, images, labels, parameter, gradient, scale))
    return max(errors, key=lambda error: (math.isnan(error), error))


def _along(
    model: nn.Module, images: Tensor, labels: Tensor, parameter: Tensor, gradient: Tensor, scale: float
) -> float:
    """Return the error along the gradient itself, where the derivative is largest."""
    norm = float(gradient.norm())
    if norm < 1e-6 * scale:
        return 0.0
    direction = gradient / norm
    step = _DOUBLE_STEP * max(float(parameter.norm()), 1e-2)
    losses = []
    start = parameter.clone()
    for sign in (1, -1):
        parameter.copy_(start + sign * step * direction)
        losses.append(float(_exact_loss(model, images, labels)))
    parameter.copy_(start)
    beat()
    numeric = (losses[0] - losses[1]) / (2 * step)
    return abs(numeric - norm) / norm


def _exact_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy (); functional dropout drops the same units every time."""
    torch.manual_seed(0)
    return F.cross_entropy(model(images.clone()), labels)
