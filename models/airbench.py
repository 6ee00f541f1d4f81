"""The network of Jordan 2024 (94% on CIFAR-10 in 3.29 Seconds on a Single GPU), for short trainings.

Pooling comes right after the first convolution of a stage, so that normalization and activation see a quarter
of the places, and most of the arithmetic is done in wide layers on small maps. His first layer, patches
whitened by fixed weights, is an ordinary convolution here, and features are not scaled before the classifier.
"""

from __future__ import annotations

from torch import nn

from .activations import filters_per_channel
from .layers import Network, Shape, conv_block, finish, head, named, refuse_smaller, stage, stem
from .options import NetworkOptions

CONVOLUTIONS = 7
PATCH_FILTERS = 24  # twice the numbers of a 2 x 2 patch in three colors
MULTIPLES = (1, 3, 4)
"""Channels of the stages over the width. Published: 64, 256, 256 channels, and 128, 384, 384 for 95 %."""


def airbench(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """A 2 x 2 convolution, 3 stages of two 3 x 3 ones, the maximum of each last map, a classifier."""
    if options.depth not in (None, CONVOLUTIONS):
        raise ValueError(f"airbench has {CONVOLUTIONS} convolutions, not {options.depth}")
    refuse_smaller(in_shape, 9, "three poolings after its first convolution")
    layers, (channels, _, _) = stem(options, in_shape)
    layers["conv1"] = _patches(options, channels)
    inputs = PATCH_FILTERS
    for number, multiple in enumerate(MULTIPLES, 1):
        outputs = multiple * options.width
        first = 2 * number
        row = {
            f"conv{first}": _pooled(options, inputs, outputs),
            f"conv{first + 1}": conv_block(options, outputs, outputs),
        }
        layers[f"stage{number}"] = stage(options, row, pool=None)
        inputs = outputs
    layers["pool"] = nn.AdaptiveMaxPool2d(1)
    return Network({**layers, "head": head(options, inputs, [], classes)})


def _patches(options: NetworkOptions, inputs: int) -> nn.Sequential:
    filters = PATCH_FILTERS * filters_per_channel(options)
    conv = nn.Conv2d(inputs, filters, 2, bias=options.batch_norm != "before")
    return named({"conv": conv, **finish(options, filters, PATCH_FILTERS, spatial=True)})


def _pooled(options: NetworkOptions, inputs: int, outputs: int) -> nn.Sequential:
    filters = outputs * filters_per_channel(options)
    conv = nn.Conv2d(inputs, filters, 3, padding=1, bias=options.batch_norm != "before")
    pool = nn.MaxPool2d(2)
    return named({"conv": conv, "pool": pool, **finish(options, filters, outputs, spatial=True)})
