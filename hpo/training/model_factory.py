"""Builds the network of a configuration: a bundled one by name, or a user's own by its dotted path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn

from hpo.config.configuration import Configuration
from hpo.config.suggestions import did_you_mean
from hpo.errors import ConfigurationError
from hpo.models.catalog import MODELS
from hpo.models.initializers import initialize
from hpo.models.layers import Network
from hpo.models.options import NetworkOptions
from hpo.rng import Key
from hpo.training.generators import seeded_for_construction
from hpo.training.process_state import TENSOR_DEFAULTS, import_with_state, preserved
from hpo.training.read_options import ReadOptions
from hpo.training.users_network import USERS_ERRORS, adopt, raised

ImageShape = tuple[int, int, int]
IMAGE_SHAPE: ImageShape = (3, 32, 32)


def build_model(
    configuration: Configuration,
    *,
    classes: int,
    key: Key,
    sample: Tensor | None,
    in_shape: ImageShape = IMAGE_SHAPE,
) -> nn.Module:
    """Build the configuration's network on the CPU, in training mode; its weights are a function of ``key``.

    It maps images (B, *in_shape) to logits (B, classes). ``sample`` is a preprocessed batch of training
    images, for the initializer lsuv. The initializer sets the weights of bundled networks and of a user's
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
    return module.train()


@preserved()
def check_model(
    configuration: Configuration, *, classes: int, in_shape: ImageShape = IMAGE_SHAPE
) -> nn.Module:
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


def _construct(options: NetworkOptions, classes: int, in_shape: ImageShape) -> nn.Module:
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
def _users_model(options: NetworkOptions, classes: int, in_shape: ImageShape) -> nn.Module:
    factory, given = _load(options.model), ReadOptions.of(options)
    try:
        module = factory(given, in_shape=in_shape, classes=classes)
    except USERS_ERRORS as error:
        call = f"build(options, in_shape={in_shape}, classes={classes})"
        raise ConfigurationError(raised(options.model, f"called as {call}", error)) from error
    network = adopt(options.model, module, classes, in_shape)
    given.note_on(network)
    return network


_allowed: tuple[str, ...] | None = None
"""The packages from which networks may be imported; None for all."""


def allow_only(packages: Iterable[str] | None) -> None:
    """Allow this process to import networks only from these packages; ``*`` or None allows all.

    For a worker that trains the studies of other users. Bundled networks are always allowed.
    """
    global _allowed
    named = None if packages is None else tuple(packages)
    _allowed = None if named is None or "*" in named else named


def _refuse_foreign(path: str, module_name: str) -> None:
    if _allowed is None or any(
        module_name == each or module_name.startswith(f"{each}.") for each in _allowed
    ):
        return
    package = module_name.partition(".")[0]
    raise ConfigurationError(
        f"model {path} was not imported: this worker allows {_listed(_allowed)}. If you trust its code, "
        f"start the worker with HPO_ALLOWED_MODELS={','.join([*_allowed, package])}"
    )


def _listed(packages: tuple[str, ...]) -> str:
    return f"bundled networks and those of {', '.join(packages)}" if packages else "only bundled networks"


def _load(path: str) -> Callable[..., object]:
    """Import the function ``package.module:function``, also from the working directory."""
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name:
        raise ConfigurationError(f"model {path!r} does not have the form package.module:function")
    _refuse_foreign(path, module_name)
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # at the end: it must not hide an installed package
    try:
        module = import_with_state(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"model {path}: there is no module {error.name!r} in {here} or among the installed packages"
            ) from error
        raise ConfigurationError(raised(path, "when imported", error)) from error
    except USERS_ERRORS as error:
        raise ConfigurationError(raised(path, "when imported", error)) from error
    factory = getattr(module, function_name, None)
    if factory is None:
        hint = did_you_mean(function_name, vars(module))
        message = f"model {path}: module {module_name} has no {function_name!r}"
        raise ConfigurationError(f"{message}; {hint}" if hint else message)
    if not callable(factory):
        raise ConfigurationError(
            f"model {path}: {function_name} is a {type(factory).__name__}, not a function"
        )
    return factory  # type: ignore[no-any-return]
