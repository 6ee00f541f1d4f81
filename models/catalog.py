"""The networks by name."""

from __future__ import annotations

from typing import Protocol

from .airbench import airbench, airbench94
from .convnet import convnet
from .fitnet import fitnet
from .layers import Network, Shape
from .mlp import mlp
from .options import NetworkOptions
from .resnet import resnet
from .vgg import vgg


class Builder(Protocol):
    """Makes a network from images (B, *in_shape) to logits (B, classes); ValueError for a wrong depth."""

    def __call__(self, options: NetworkOptions, *, in_shape: Shape = ..., classes: int) -> Network: ...


MODELS: dict[str, Builder] = {
    "convnet": convnet,
    "vgg": vgg,
    "resnet": resnet,
    "fitnet": fitnet,
    "airbench": airbench,
    "airbench94": airbench94,
    "mlp": mlp,
}
