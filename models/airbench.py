"""The networks of Jordan 2024 (94% on CIFAR-10 in 3.29 Seconds on a Single GPU), for short trainings.

Pooling comes right after the first convolution of a stage, so that normalization and activation see a quarter
of the places, and most of the arithmetic is done in wide layers on small maps. The first layer is his with
``stem: whitened``, else an ordinary convolution of the same shape; ``output_scale`` scales the logits as his.
"""

from __future__ import annotations

from torch import nn

from .activations import filters_per_channel
from .layers import Network, Shape, conv_block, finish, head, named, refuse_smaller, stage, stem
from .options import NetworkOptions
from .resnet import Residual

DEPTHS = {7: 2, 10: 3}
"""Convolutions in all, and of each stage. The third ones are under a shortcut, as published for 96 %."""
PATCH_FILTERS = 24  # twice the numbers of a 2 x 2 patch in three colors
MULTIPLES = (1, 3, 4)
"""Channels of the stages over the width: 128, 384 and 512 channels are published for 96 %."""
MULTIPLES_94 = (1, 4, 4)
"""64, 256 and 256 channels are published for 94 %."""


def airbench(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """A 2 x 2 convolution, 3 stages of two or three 3 x 3 ones, the maxima of the last maps, a classifier."""
    return _airbench(options, in_shape, classes, MULTIPLES)


def airbench94(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """The same with the widths of the smallest published network."""
    return _airbench(options, in_shape, classes, MULTIPLES_94)


def _airbench(options: NetworkOptions, in_shape: Shape, classes: int, multiples: tuple[int, ...]) -> Network:
    depth = options.depth or min(DEPTHS)
    if depth not in DEPTHS:
        raise ValueError(f"airbench has {' or '.join(map(str, DEPTHS))} convolutions, not {depth}")
    refuse_smaller(in_shape, 9, "three poolings after its first convolution")
    layers, (channels, _, _) = stem(options, in_shape, keep_size=False)
    inputs = channels
    if options.stem == "plain":
        layers["conv1"] = _patches(options, channels)
        inputs = PATCH_FILTERS
    first = 2
    for number, multiple in enumerate(multiples, 1):
        outputs = multiple * options.width
        row: dict[str, nn.Module] = {f"conv{first}": _pooled(options, inputs, outputs)}
        if DEPTHS[depth] == 2:
            row[f"conv{first + 1}"] = conv_block(options, outputs, outputs)
        else:
            row[f"residual{first + 1}"] = Residual(options, outputs, outputs)
        layers[f"stage{number}"] = stage(options, row, pool=None)
        inputs, first = outputs, first + DEPTHS[depth]
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
