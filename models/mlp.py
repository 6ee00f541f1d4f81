"""Fully connected networks."""

from __future__ import annotations

import math
from dataclasses import replace

from .layers import Network, Shape, head
from .options import NetworkOptions

DEFAULT_DEPTH = 2
UNITS_PER_WIDTH = 16


def mlp(options: NetworkOptions, *, in_shape: Shape = (3, 32, 32), classes: int) -> Network:
    """``depth`` hidden layers of 16 * width units on the pixels."""
    if options.stem != "plain":
        raise ValueError(f"mlp has no convolutions, so no stem: {options.stem}")
    hidden = [UNITS_PER_WIDTH * options.width] * (options.depth or DEFAULT_DEPTH)
    return perceptron(options, inputs=math.prod(in_shape), hidden=hidden, classes=classes)


def perceptron(options: NetworkOptions, *, inputs: int, hidden: list[int], classes: int) -> Network:
    """Hidden layers of any sizes; images are flattened. Dropout follows each of them, whatever its kind:
    a unit has no neighbors to be dropped with.
    """
    plain = replace(options, dropout_kind="plain")
    return Network({"head": head(plain, inputs, hidden, classes, drop_inputs=False)})
