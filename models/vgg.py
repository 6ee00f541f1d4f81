"""Small VGG nets (Simonyan & Zisserman 2014) for small images; width 64 has the published channels."""

from __future__ import annotations

from torch import nn

from .layers import Network, Shape, conv_stages, head, refuse_smaller, stem
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
    convs = STAGES[depth]
    refuse_smaller(in_shape, 1 << len(convs), f"the poolings of depth {depth}")
    first, (channels, height, width) = stem(options, in_shape, len(convs))
    outputs = [options.width * multiple for multiple in (1, 2, 4, 8, 8)]
    stages = [([outputs[i]] * count, nn.MaxPool2d(2)) for i, count in enumerate(convs)]
    features = outputs[len(convs) - 1] * (height >> len(convs)) * (width >> len(convs))
    hidden = [8 * options.width] * 2
    layers = {**first, **conv_stages(options, channels, stages)}
    return Network({**layers, "head": head(options, features, hidden, classes)})
