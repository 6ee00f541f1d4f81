"""The CIFAR residual nets of He et al. 2016 (Deep Residual Learning, 4.2); width 16 is the published size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .activations import filters_per_channel
from .layers import Network, Shape, conv_block, finish, head, named, stage, stem
from .options import NetworkOptions

DEFAULT_DEPTH = 8


def resnet(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """A convolution, 3 stages of n residual blocks (depth 6n + 2), the average over the map, a classifier."""
    depth = options.depth or DEFAULT_DEPTH
    blocks, rest = divmod(depth - 2, 6)
    if blocks < 1 or rest:
        raise ValueError(f"resnet has no depth {depth}; use 6n + 2: 8, 14, 20 ...")
    layers, (channels, _, _) = stem(options, in_shape)
    layers["conv1"] = conv_block(options, channels, options.width)
    inputs = options.width
    for number in (1, 2, 3):
        outputs = options.width << (number - 1)
        row: dict[str, nn.Module] = {}
        for block in range(1, blocks + 1):
            row[f"block{block}"] = Residual(options, inputs, outputs)
            inputs = outputs
        layers[f"stage{number}"] = stage(options, row, pool=None)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    return Network({**layers, "head": head(options, inputs, [], classes)})


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; the second activation follows the sum.

    Shortcuts have no weights (option A): where channels double, every second pixel is taken and channels of
    zeros are added. With maxout the shortcut is added to each piece. With ``batch_norm: after`` the
    normalization follows the activation of the sum.
    """

    def __init__(self, options: NetworkOptions, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pieces = filters_per_channel(options)
        self.more_channels = outputs - inputs
        self.stride = 2 if self.more_channels else 1
        self.conv1 = conv_block(options, inputs, outputs, stride=self.stride)
        filters = outputs * self.pieces
        before = options.batch_norm == "before"
        last = finish(options, filters, outputs, spatial=True)
        conv = nn.Conv2d(outputs, filters, 3, padding=1, bias=not before)
        branch = {"conv": conv, "norm": last.pop("norm")} if before else {"conv": conv}
        self.conv2 = named(branch)
        self.sum = named(last)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.sum(self.conv2(self.conv1(x)) + self._shortcut(x))
        return total

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.more_channels:
            low = self.more_channels // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, low, self.more_channels - low))
        return torch.cat([x] * self.pieces, dim=1) if self.pieces > 1 else x
