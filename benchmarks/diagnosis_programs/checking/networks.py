"""Networks of the checking half's bases, in the form of ``model: package.module:function``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpo.models.layers import Network, Shape, conv_block, finish, head, named
from hpo.models.options import NetworkOptions


def nin(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Network in network: 1 x 1 convolutions behind each larger one, one map per class (Lin et al. 2014)."""
    layers: dict[str, nn.Module] = {}
    channels = in_shape[0]
    for number, outputs in enumerate((options.width, 2 * options.width, 4 * options.width), 1):
        layers[f"block{number}"] = named(
            {
                "conv": conv_block(options, channels, outputs),
                "mix": _pointwise(options, outputs, outputs),
                "pool": nn.MaxPool2d(2),
            }
        )
        channels = outputs
    last = {"maps": nn.Conv2d(channels, classes, 1), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return Network({**layers, **last})


def inception(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """A convolution and three blocks of 1 x 1, 3 x 3 and 5 x 5 branches (after Szegedy et al. 2015)."""
    width = options.width
    layers: dict[str, nn.Module] = {
        "stem": conv_block(options, in_shape[0], 2 * width),
        "pool0": nn.MaxPool2d(2),
    }
    channels = 2 * width
    for number in (1, 2, 3):
        layers[f"block{number}"] = Branches(options, channels, number * width)
        channels = 3 * number * width
        layers[f"pool{number}"] = nn.MaxPool2d(2) if number < 3 else nn.AdaptiveAvgPool2d(2)
    return Network({**layers, "head": head(options, 4 * channels, [], classes)})


def densenet(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Two blocks of layers that see all maps before them (Huang et al. 2017); ``width`` is the growth."""
    growth = options.width
    layers: dict[str, nn.Module] = {"stem": conv_block(options, in_shape[0], 2 * growth, stride=2)}
    channels = 2 * growth
    for number in (1, 2):
        for layer in (1, 2):
            layers[f"dense{number}{layer}"] = Concatenated(options, channels, growth)
            channels += growth
        layers[f"transition{number}"] = _pointwise(options, channels, channels // 2)
        layers[f"pool{number}"] = nn.AvgPool2d(2)
        channels //= 2
    return Network({**layers, "head": head(options, channels * (in_shape[1] // 8) ** 2, [], classes)})


def convmixer(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """4 x 4 patches, depthwise convolutions with shortcuts, pointwise ones (Trockman & Kolter 2022)."""
    width = options.width
    patches = nn.Conv2d(in_shape[0], width, 4, 4)
    layers: dict[str, nn.Module] = {
        "patches": named({"conv": patches, **finish(options, width, width, spatial=True)})
    }
    for number in range(1, (options.depth or 3) + 1):
        layers[f"mixer{number}"] = named(
            {"space": Shortcut(_depthwise(options, width)), "channels": _pointwise(options, width, width)}
        )
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    return Network({**layers, "head": head(options, width, [], classes)})


def preact(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Three residual blocks with the activation in front and nothing on the shortcut (He et al. 2016b)."""
    layers: dict[str, nn.Module] = {"stem": nn.Conv2d(in_shape[0], options.width, 3, 2, padding=1)}
    channels = options.width
    for number, outputs in enumerate((options.width, 2 * options.width, 4 * options.width), 1):
        layers[f"block{number}"] = PreActivation(options, channels, outputs)
        channels = outputs
    layers["last"] = named(finish(options, channels, channels, spatial=True))
    layers["pool"] = nn.AdaptiveAvgPool2d(2)
    return Network({**layers, "head": head(options, 4 * channels, [], classes)})


def alexnet(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """Convolutions with overlapping pooling and two dense layers with dropout (Krizhevsky et al. 2012)."""
    layers: dict[str, nn.Module] = {}
    channels, size = in_shape[0], in_shape[1]
    for number in (1, 2, 3):
        layers[f"conv{number}"] = conv_block(options, channels, number * options.width)
        layers[f"pool{number}"] = nn.MaxPool2d(3, 2, padding=1)
        channels, size = number * options.width, size // 2
    return Network({**layers, "head": head(options, channels * size**2, [64], classes)})


class Branches(nn.Module):
    """1 x 1, 3 x 3 and two 3 x 3 convolutions side by side, their maps one behind the other."""

    def __init__(self, options: NetworkOptions, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one = _pointwise(options, inputs, outputs)
        self.three = conv_block(options, inputs, outputs)
        self.five = named(
            {"reduce": conv_block(options, inputs, outputs), "conv": conv_block(options, outputs, outputs)}
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x)], dim=1)


class Concatenated(nn.Module):
    """The input, and behind it what a convolution makes of it."""

    def __init__(self, options: NetworkOptions, inputs: int, growth: int) -> None:
        super().__init__()
        self.conv = conv_block(options, inputs, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(x)], dim=1)


class Shortcut(nn.Module):
    """A branch, and its input added."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.branch(x) + x
        return total


class PreActivation(nn.Module):
    """Activation and convolution, twice; the shortcut is a convolution where the size changes."""

    def __init__(self, options: NetworkOptions, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first = named(finish(options, inputs, inputs, spatial=True))
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.second = named(finish(options, outputs, outputs, spatial=True))
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.conv2(self.second(self.conv1(self.first(x))))
        return branch + self.shortcut(x)


def _pointwise(options: NetworkOptions, inputs: int, outputs: int) -> nn.Sequential:
    return named({"conv": nn.Conv2d(inputs, outputs, 1), **finish(options, outputs, outputs, spatial=True)})


def _depthwise(options: NetworkOptions, channels: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
    return named({"conv": conv, **finish(options, channels, channels, spatial=True)})
