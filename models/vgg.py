"""Small VGG nets (Simonyan & Zisserman 2014) for small images; width 64 has the published channels."""

from __future__ import annotations

from torch import nn

from .layers import Network, Shape, conv_stages, head
from .options import NetworkOptions

DEFAULT_DEPTH = 8
STAGES: dict[int, tuple[int, ...]] = {
    6: (1, 1, 1),
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),  # configuration A
    13: (2, 2, 2, 2, 2),  # configuration B
}
"""Convolutions per stage; the published depths count them and three dense layers."""


def vgg(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Stages of 3 x 3 convolutions, each ended by 2 x 2 max pooling, two hidden dense layers, a classifier.

    Channels are 1, 2, 4, 8, 8 times the width; the dense layers have 8 times the width (the paper: 4096, for
    images of 224 x 224; 512 is usual for these).
    """
    depth = options.depth or DEFAULT_DEPTH
    if depth not in STAGES:
        raise ValueError(f"vgg has no depth {depth}; use {', '.join(map(str, STAGES))}")
    channels, height, width = in_shape
    convs = STAGES[depth]
    shrunk = (height >> len(convs), width >> len(convs))
    if not all(shrunk):
        raise ValueError(f"images of {height} x {width} pixels are too small for poolings: {len(convs)}")
    outputs = [options.width * multiple for multiple in (1, 2, 4, 8, 8)]
    stages = [([outputs[i]] * count, nn.MaxPool2d(2)) for i, count in enumerate(convs)]
    features = outputs[len(convs) - 1] * shrunk[0] * shrunk[1]
    hidden = [8 * options.width] * 2
    return Network(
        {**conv_stages(options, channels, stages), "head": head(options, features, hidden, classes)}
    )
