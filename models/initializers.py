"""Initial weights. Every draw comes from the given CPU generator: weights are a function of its seed.

n is a layer's fan-in (inputs of one unit) and m its fan-out (units that one input reaches); with maxout, m
counts the units of all pieces, since the gradient comes back through each.

====================  =====================================================  =============================
zeros, constant       0; init_constant                                       the lecture's bad examples
small_gaussian        N(0, 0.01^2)                                           the lecture's bad example
gaussian              N(0, init_std^2)
xavier                variance 2 / (n + m)                                   Glorot & Bengio 2010
he                    variance gain^2 / n, the gain fits the activation      He et al. 2015
lecun                 variance 1 / n                                         LeCun et al. 1998
orthogonal            gain * a (semi-)orthogonal matrix                      Saxe et al. 2013
lsuv                  orthonormal, then outputs scaled to variance 1         Mishkin & Matas 2015
dirac                 the first filters pass their channel on; others and    Jordan 2024
                      dense layers uniform, variance 1 / (3 n)               (torch's default)
====================  =====================================================  =============================

Biases start at 0, scales of normalizations at 1 (also the last one of a residual branch), shifts at 0. The
classifier is followed by no activation and should begin with near-equal probabilities: for xavier, he, lecun,
orthogonal and lsuv it is drawn with gain 1 and then made ten times smaller, so that logits have a standard
deviation of about 0.1 on features of size 1 and the loss starts within about 0.01 of ln(classes). The bad
examples and gaussian apply to the classifier unchanged. An ``output_scale`` s makes the classifier 10 s times
smaller instead, but not larger, so that the logits start the same. Whitened patches keep their filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from .gains import gain
from .options import NetworkOptions

WeightLayer = nn.Linear | _ConvNd

CLASSIFIER_SCALE = 0.1
LSUV_TOLERANCE = 0.01  # Mishkin & Matas 2015 found any value from 0.01 to 0.1 to do
LSUV_TRIES = 10  # one is enough without biases, up to rounding

Law = Callable[[torch.Size, NetworkOptions, torch.Generator], Tensor]


def initialize(
    module: nn.Module, options: NetworkOptions, generator: torch.Generator, sample: Tensor | None
) -> None:
    """Set weights and biases of every linear and convolution layer of ``module``, in order of registration.

    The last of them is taken for the classifier. ``sample`` is a preprocessed batch (B, C, H, W); lsuv raises
    ValueError without it.
    """
    layers = weight_layers(module)
    law = INITIALIZERS[options.initializer]
    for layer in layers[:-1]:
        _fill(layer, law(layer.weight.shape, options, generator))
    _fill(layers[-1], _classifier(layers[-1].weight.shape, options, generator))
    if options.initializer == "lsuv":
        if sample is None:
            raise ValueError("lsuv needs a batch of images to measure the layers' outputs on")
        scale_outputs(module, sample)


def weight_layers(module: nn.Module) -> list[WeightLayer]:
    """Return the linear and convolution layers in order of registration. Raises ``ValueError`` if none."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear | _ConvNd)]
    if not layers:
        raise ValueError("the network has no linear or convolution layer to initialize")
    return layers


def _fill(layer: WeightLayer, values: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(values)
        if layer.bias is not None:
            layer.bias.zero_()


def _classifier(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    law = INITIALIZERS[options.initializer]
    if options.initializer in UNSCALED:
        return law(shape, options, generator)
    scale = min(1.0, CLASSIFIER_SCALE / options.output_scale)
    return scale * law(shape, replace(options, activation="linear"), generator)


def fans(shape: torch.Size) -> tuple[int, int]:
    """Return fan-in and fan-out of a weight (outputs, inputs, *kernel)."""
    places = math.prod(shape[2:])
    return shape[1] * places, shape[0] * places


def _normal(shape: torch.Size, std: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(0.0, std, generator=generator)


def _drawn(shape: torch.Size, std: float, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    """Draw from the normal or the uniform distribution with mean 0 and this standard deviation."""
    if options.init_distribution == "normal":
        return _normal(shape, std, generator)
    bound = math.sqrt(3) * std
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _xavier(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    return _drawn(shape, math.sqrt(2 / sum(fans(shape))), options, generator)


def _he(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    return _drawn(shape, gain(options) / math.sqrt(fans(shape)[0]), options, generator)


def _lecun(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    return _drawn(shape, 1 / math.sqrt(fans(shape)[0]), options, generator)


def _orthonormal(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    return nn.init.orthogonal_(torch.empty(shape), generator=generator)


def _orthogonal(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    return gain(options) * _orthonormal(shape, options, generator)


def _dirac(shape: torch.Size, options: NetworkOptions, generator: torch.Generator) -> Tensor:
    """A partial identity: with k or more filters of k channels, the first k are the identity."""
    weight = _drawn(
        shape, 1 / math.sqrt(3 * fans(shape)[0]), replace(options, init_distribution="uniform"), generator
    )
    if len(shape) > 2:
        nn.init.dirac_(weight[: shape[1]])
    return weight


INITIALIZERS: dict[str, Law] = {
    "zeros": lambda shape, options, generator: torch.zeros(shape),
    "constant": lambda shape, options, generator: torch.full(shape, options.init_constant),
    "small_gaussian": lambda shape, options, generator: _normal(shape, 0.01, generator),
    "gaussian": lambda shape, options, generator: _normal(shape, options.init_std, generator),
    "xavier": _xavier,
    "he": _he,
    "lecun": _lecun,
    "orthogonal": _orthogonal,
    "lsuv": _orthonormal,
    "dirac": _dirac,
}
UNSCALED = ("zeros", "constant", "small_gaussian", "gaussian")
"""Initializers that treat the classifier like every other layer."""


def scale_outputs(module: nn.Module, sample: Tensor) -> None:
    """LSUV's second half: scale weights so that each layer's output has variance 1 on ``sample``.

    One forward pass does it: a hook scales each layer when its input is already final, and passes the scaled
    output on. Outputs are measured before normalization and activation, as in the authors' code; the
    classifier's are scaled to a standard deviation of ``CLASSIFIER_SCALE``. Normalizations use the batch's
    statistics, as in training, and keep their running ones; dropout is off. A layer whose output is constant
    keeps its weights.
    """
    layers = weight_layers(module)
    done: set[nn.Module] = set()

    def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if layer in done:  # a layer that is used twice is scaled for its first use
            return output
        done.add(layer)
        target = CLASSIFIER_SCALE if layer is layers[-1] else 1.0
        return _scale_layer(layer, inputs, output, target)

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        with torch.no_grad(), _batch_statistics(module):
            module(sample.to(layers[0].weight))
    finally:
        for handle in handles:
            handle.remove()


def _scale_layer(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor, target: float) -> Tensor:
    assert isinstance(layer, nn.Linear | _ConvNd)
    for _ in range(LSUV_TRIES):
        ratio = float(output.var(correction=0)) / target**2
        if ratio == 0 or not math.isfinite(ratio) or abs(ratio - 1) <= LSUV_TOLERANCE:
            break
        layer.weight.div_(math.sqrt(ratio))
        output = layer.forward(*inputs)
    return output


@contextmanager
def _batch_statistics(module: nn.Module) -> Iterator[None]:
    """Use eval mode except for batch normalization; restore modes and running statistics at the end."""
    modes = {layer: layer.training for layer in module.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    module.eval()
    for layer in modes:
        if isinstance(layer, _BatchNorm):
            layer.training = True
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode
        for buffer, before in buffers:
            buffer.copy_(before)
