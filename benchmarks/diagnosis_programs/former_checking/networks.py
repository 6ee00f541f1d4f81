"""Networks that hpo does not have, as a user brings them: ``model: package.module:function``."""

from __future__ import annotations

from torch import nn

from hpo.models.layers import Network, Shape, conv_block, finish, head, named, stage
from hpo.models.options import NetworkOptions


def lenet(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Two 5 x 5 convolutions with average pooling and two dense layers (after LeCun et al. 1998)."""
    channels, height, width = in_shape
    layers: dict[str, nn.Module] = {}
    for number, outputs in enumerate((options.width, 2 * options.width), 1):
        conv = nn.Conv2d(channels, outputs, 5, padding=2)
        block = named({"conv": conv, **finish(options, outputs, outputs, spatial=True)})
        layers[f"stage{number}"] = stage(options, {f"conv{number}": block}, nn.AvgPool2d(2))
        channels = outputs
    features = channels * (height // 4) * (width // 4)
    return Network({**layers, "head": head(options, features, [96, 64], classes)})


def strided(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Six convolutions, every second with stride 2 in place of pooling (Springenberg et al. 2015)."""
    channels, height, width = in_shape
    layers: dict[str, nn.Module] = {}
    for number in range(1, 4):
        outputs = options.width * number
        layers[f"stage{number}"] = named(
            {
                "same": conv_block(options, channels, outputs),
                "down": conv_block(options, outputs, outputs, stride=2),
            }
        )
        channels = outputs
    features = channels * (height // 8) * (width // 8)
    return Network({**layers, "head": head(options, features, [], classes)})


def separable(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """A convolution, three depthwise separable ones with stride 2, the average over the map, a classifier.

    After Howard et al. 2017 (MobileNets).
    """
    layers: dict[str, nn.Module] = {"conv1": conv_block(options, in_shape[0], options.width)}
    channels = options.width
    for number in range(1, 4):
        layers[f"stage{number}"] = _separable_block(options, channels, 2 * channels)
        channels *= 2
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    return Network({**layers, "head": head(options, channels, [], classes)})


def _separable_block(options: NetworkOptions, inputs: int, outputs: int) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, 2, padding=1, groups=inputs, bias=False)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    return named(
        {
            "depthwise": named({"conv": depthwise, **finish(options, inputs, inputs, spatial=True)}),
            "pointwise": named({"conv": pointwise, **finish(options, outputs, outputs, spatial=True)}),
        }
    )
