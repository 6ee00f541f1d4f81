"""Builds the network of a configuration: a bundled one by name, or a user's own by its dotted path."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor, nn

from hpo.config.configuration import Configuration
from hpo.config.image_format import Shape
from hpo.config.suggestions import did_you_mean
from hpo.errors import ConfigurationError
from hpo.models.catalog import MODELS
from hpo.models.initializers import initialize
from hpo.models.layers import Network
from hpo.models.options import NetworkOptions
from hpo.models.whitening import WhitenedPatches
from hpo.rng import Key
from hpo.training.generators import seeded_for_construction
from hpo.training.process_state import TENSOR_DEFAULTS, import_with_state, preserved
from hpo.training.read_options import ReadOptions
from hpo.training.users_code import USERS_ERRORS, import_function, raised
from hpo.training.users_network import adopt


def build_model(
    configuration: Configuration,
    *,
    classes: int,
    key: Key,
    sample: Tensor | None,
    in_shape: Shape,
    whitened_on: Tensor | None = None,
) -> nn.Module:
    """Build the configuration's network on the CPU, in training mode; its weights are a function of ``key``.

    It maps images (B, *in_shape) to logits (B, classes). ``sample`` is a preprocessed batch of training
    images, for the initializer lsuv; patches are whitened on ``whitened_on``, or on it without these. The
    initializer sets the weights of bundled networks and of a user's
    ``Network``; other models of a user keep their own. Raises ``ConfigurationError`` if a user's model
    cannot be used.
    """
    options = network_options(configuration)
    with seeded_for_construction((key / "construction").integer()):
        module = _construct(options, classes, in_shape)
    if isinstance(module, Network):
        generator = torch.Generator().manual_seed(key.integer())
        try:
            initialize(module, options, generator, sample)
        except ValueError as error:
            raise ConfigurationError(f"model {options.model}: {error}") from error
    whiten(module, sample if whitened_on is None else whitened_on)
    return module.train()


def whiten(module: nn.Module, images: Tensor | None) -> None:
    """Fit the network's first layers of whitened patches, if it has any, to images (N, C, H, W)."""
    for layer in module.modules():
        if isinstance(layer, WhitenedPatches) and images is not None:
            layer.fit(images.cpu())


@preserved()
def check_model(configuration: Configuration, *, classes: int, in_shape: Shape) -> nn.Module:
    """Build the network before a study starts. Raises ``ConfigurationError`` if it cannot be trained."""
    key = Key(0) / "check"
    noise = torch.randn(8, *in_shape, generator=torch.Generator().manual_seed(key.integer()))
    return build_model(configuration, classes=classes, key=key, sample=noise, in_shape=in_shape)


def parameter_count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def network_options(configuration: Configuration) -> NetworkOptions:
    """Return the fields of the configuration that networks read."""
    return NetworkOptions(
        **{field.name: getattr(configuration, field.name) for field in fields(NetworkOptions)}
    )


def _construct(options: NetworkOptions, classes: int, in_shape: Shape) -> nn.Module:
    if ":" in options.model:
        return _users_model(options, classes, in_shape)
    if options.model not in MODELS:
        raise ConfigurationError(_unknown_model(options.model))
    try:
        network: nn.Module = MODELS[options.model](options, in_shape=in_shape, classes=classes)
    except ValueError as error:
        raise ConfigurationError(f"model {options.model}: {error}") from error
    return network


def _unknown_model(name: str) -> str:
    hint = did_you_mean(name, MODELS)
    known = ", ".join(MODELS)
    message = f"unknown model {name!r}; {hint}{' ' if hint else ''}"
    return f"{message}known: {known}; or your own as package.module:function"


@preserved(*TENSOR_DEFAULTS)
def _users_model(options: NetworkOptions, classes: int, in_shape: Shape) -> nn.Module:
    factory = import_function("model", options.model, import_with_state)
    given = ReadOptions.of(options)
    try:
        module = factory(given, in_shape=in_shape, classes=classes)
    except USERS_ERRORS as error:
        call = f"build(options, in_shape={in_shape}, classes={classes})"
        raise ConfigurationError(raised("model", options.model, f"called as {call}", error)) from error
    network = adopt(options.model, module, classes, in_shape)
    given.note_on(network)
    return network
