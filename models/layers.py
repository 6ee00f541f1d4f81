"""Building blocks of the networks: blocks of weights, normalization and activation; stages; heads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from .activations import ACTIVATIONS, filters_per_channel
from .options import NetworkOptions
from .whitening import WhitenedPatches, filter_count

Shape = tuple[int, int, int]


class Network(nn.Sequential):
    """Layers in a row, the last weights being the classifier's; logits (B, classes) come out.

    The configuration's initializer sets the weights of a Network; those of any other module stay as they are.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)


def named(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return a sequence of named layers."""
    row = nn.Sequential()
    for name, layer in layers.items():
        row.add_module(name, layer)
    return row


def conv_block(options: NetworkOptions, inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution that keeps the size (at stride 1), normalization and activation."""
    filters = outputs * filters_per_channel(options)
    # A normalization right behind subtracts any bias again.
    conv = nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=options.batch_norm != "before")
    return named({"conv": conv, **finish(options, filters, outputs, spatial=True)})


def dense_block(options: NetworkOptions, inputs: int, outputs: int) -> nn.Sequential:
    """A fully connected layer, normalization and activation."""
    units = outputs * filters_per_channel(options)
    dense = nn.Linear(inputs, units, bias=options.batch_norm != "before")
    return named({"dense": dense, **finish(options, units, outputs, spatial=False)})


def finish(options: NetworkOptions, filters: int, outputs: int, *, spatial: bool) -> dict[str, nn.Module]:
    """Return the layers after the weights: normalization before or after the activation, or none."""
    activation = ACTIVATIONS[options.activation](options, outputs)
    if options.batch_norm == "before":
        return {"norm": norm(options, filters, spatial=spatial), "activation": activation}
    if options.batch_norm == "after":
        return {"activation": activation, "norm": norm(options, outputs, spatial=spatial)}
    return {"activation": activation}


def norm(options: NetworkOptions, channels: int, *, spatial: bool) -> nn.Module:
    """Return the chosen normalization of (B, C, H, W), or of (B, C) if not ``spatial``."""
    layer = NORMS[options.norm](options, channels, spatial)
    if options.norm_scale == "frozen":
        del layer.weight
        layer.register_buffer("weight", torch.ones(channels))
    return layer


def _batch_norm(options: NetworkOptions, channels: int, spatial: bool) -> nn.Module:
    layer = nn.BatchNorm2d if spatial else nn.BatchNorm1d
    return layer(channels, eps=options.norm_epsilon, momentum=options.norm_momentum)


def _layer_norm(options: NetworkOptions, channels: int, spatial: bool) -> nn.Module:
    """Normalize over channels and positions of an image, scale and shift per channel: one-group norm."""
    return nn.GroupNorm(1, channels, eps=options.norm_epsilon)


def _group_norm(options: NetworkOptions, channels: int, spatial: bool) -> nn.Module:
    return nn.GroupNorm(group_count(channels, options.norm_groups), channels, eps=options.norm_epsilon)


NORMS: dict[str, Callable[[NetworkOptions, int, bool], nn.Module]] = {
    "batch": _batch_norm,
    "layer": _layer_norm,
    "group": _group_norm,
}


def group_count(channels: int, most: int) -> int:
    """Return the largest number of groups, at most ``most``, that divides ``channels``."""
    return next(groups for groups in range(min(most, channels), 0, -1) if channels % groups == 0)


def stem(
    options: NetworkOptions, in_shape: Shape, stages: int = 3, *, keep_size: bool = True
) -> tuple[dict[str, nn.Module], Shape]:
    """Return the layers before the first stage, and the shape behind them: whitened patches, and halvings.

    Strided convolutions halve large images. Those below 64 pixels need none; of larger ones, the first of
    three ``stages`` sees 32 to 63 pixels, so that the last maps and the classifier do not grow with them.
    Each further stage halves once itself. Whitened patches lose a row and a column unless ``keep_size``.
    """
    channels, height, width = in_shape
    layers: dict[str, nn.Module] = {}
    halvings = (min(height, width) // 32).bit_length() - 1
    if options.stem == "whitened":
        layers["whiten"], channels = _whitened(options, channels, keep_size)
        height, width = (height, width) if keep_size else (height - 1, width - 1)
    for number in range(1, halvings - max(0, stages - 3) + 1):
        layers[f"stem{number}"] = conv_block(options, channels, options.width, stride=2)
        channels, height, width = options.width, (height + 1) // 2, (width + 1) // 2
    return layers, (channels, height, width)


def _whitened(options: NetworkOptions, channels: int, keep_size: bool) -> tuple[nn.Module, int]:
    """Return the layer of whitened patches with its activation, and the number of channels behind it."""
    filters, pieces = filter_count(channels), filters_per_channel(options)
    if filters % pieces:
        raise ValueError(
            f"stem: whitened has {filters} filters, of which maxout cannot make groups of {pieces}: use "
            "another maxout_pieces"
        )
    patches = WhitenedPatches(
        channels,
        options.stem_epsilon,
        trained=options.stem_frozen_share < 1,
        bias=options.stem_bias_share > 0,
        keep_size=keep_size,
    )
    activation = ACTIVATIONS[options.activation](options, filters // pieces)
    return named({"patches": patches, "activation": activation}), filters // pieces


def refuse_smaller(in_shape: Shape, least: int, why: str) -> None:
    """Raise ``ValueError`` if a side of the images is below ``least`` pixels."""
    _, height, width = in_shape
    if min(height, width) < least:
        raise ValueError(
            f"images of {height} x {width} pixels are too small for {why}: it needs at least {least} on each "
            f"side (image_size: {least})"
        )


def stage(options: NetworkOptions, blocks: Mapping[str, nn.Module], pool: nn.Module | None) -> nn.Sequential:
    """Return blocks at one image size, pooling, and spatial dropout if the options have it."""
    layers = dict(blocks)
    if pool is not None:
        layers["pool"] = pool
    if options.dropout and options.dropout_kind == "spatial":
        layers["dropout"] = nn.Dropout2d(options.dropout)
    return named(layers)


def conv_stage(
    options: NetworkOptions, inputs: int, outputs: Sequence[int], pool: nn.Module, *, first: int
) -> nn.Sequential:
    """Return convolution blocks with these ``outputs``, named from ``conv<first>`` on, and pooling."""
    blocks: dict[str, nn.Module] = {}
    for number, channels in enumerate(outputs, first):
        blocks[f"conv{number}"] = conv_block(options, inputs, channels)
        inputs = channels
    return stage(options, blocks, pool)


def conv_stages(
    options: NetworkOptions, inputs: int, stages: Iterable[tuple[Sequence[int], nn.Module]]
) -> dict[str, nn.Module]:
    """Return stages ``stage1``, ``stage2`` ... from the channels of their convolutions and their pooling."""
    layers: dict[str, nn.Module] = {}
    first = 1
    for number, (outputs, pool) in enumerate(stages, 1):
        layers[f"stage{number}"] = conv_stage(options, inputs, outputs, pool, first=first)
        inputs, first = outputs[-1], first + len(outputs)
    return layers


class Classifier(nn.Linear):
    """The last layer, in fp32 also where the rest trains in bf16.

    With 8 bits of precision, logits between 4 and 8 are multiples of 1/32: too coarse for the loss of them.
    ``scale`` multiplies the logits.
    """

    def __init__(self, inputs: int, classes: int, scale: float = 1.0) -> None:
        super().__init__(inputs, classes)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        """Features (B, inputs) in any format; logits (B, classes) in the weights' own."""
        if not torch.is_autocast_enabled(input.device.type):
            return self._logits(input)
        with torch.autocast(input.device.type, enabled=False):
            return self._logits(input.to(self.weight.dtype))

    def _logits(self, features: Tensor) -> Tensor:
        logits = super().forward(features)
        return logits if self.scale == 1 else logits * self.scale


def head(
    options: NetworkOptions, inputs: int, hidden: Sequence[int], classes: int, *, drop_inputs: bool = True
) -> nn.Sequential:
    """Dense blocks and the classifier, on flattened features; plain dropout before each of them."""
    rate = options.dropout if options.dropout_kind == "plain" else 0.0
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    if rate and drop_inputs:
        layers["dropout"] = nn.Dropout(rate)
    for number, units in enumerate(hidden, 1):
        layers[f"dense{number}"] = dense_block(options, inputs, units)
        if rate:
            layers[f"dropout{number}"] = nn.Dropout(rate)
        inputs = units
    layers["classifier"] = Classifier(inputs, classes, options.output_scale)
    return named(layers)
