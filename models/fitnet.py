"""FitNet-4 (Romero et al. 2015), thin and deep; the network of Mishkin & Matas' tables of initializers.

Channels as in both papers' published code; width 32 is the published size, and maxout with 2 pieces the
original activation.
"""

from __future__ import annotations

from torch import nn

from .layers import Network, Shape, conv_stages, head, refuse_smaller, stem
from .options import NetworkOptions

CONVOLUTIONS = 17
PUBLISHED_WIDTH = 32
STAGES = ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6)
HIDDEN = 500


def fitnet(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """17 convolutions in 3 stages, max pooling (the last over the whole map), a dense layer, a classifier."""
    if options.depth not in (None, CONVOLUTIONS):
        raise ValueError(f"FitNet-4 has {CONVOLUTIONS} convolutions, not {options.depth}")
    refuse_smaller(in_shape, 4, "two poolings")
    first, (channels, height, width) = stem(options, in_shape)
    pools = (nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d((height // 4, width // 4)))
    stages = [
        ([_scaled(published, options.width) for published in row], pool)
        for row, pool in zip(STAGES, pools, strict=True)
    ]
    layers = {**first, **conv_stages(options, channels, stages)}
    hidden = _scaled(HIDDEN, options.width)
    return Network({**layers, "head": head(options, stages[-1][0][-1], [hidden], classes)})


def _scaled(published: int, width: int) -> int:
    return max(1, round(published * width / PUBLISHED_WIDTH))
