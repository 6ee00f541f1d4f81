"""Running a model without a trace: its modes, buffers, attributes and all random generators stay the same."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from hpo.checks.measure.nested import is_readable

STOCHASTIC = (nn.modules.dropout._DropoutNd, nn.RReLU)
_REGISTRIES = frozenset(vars(nn.Module()))
"""The attributes that every module has: its parameters, buffers, submodules and hooks."""
_CONTAINERS = (list, dict, set, deque, OrderedDict, defaultdict)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network itself: not compiled, and not spread over devices or processes.

    Measurements must neither compile it again nor wait for other processes.
    """
    while True:
        compiled = getattr(sys.modules.get("torch._dynamo.eval_frame"), "OptimizedModule", ())
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(model, compiled):
            model = cast(nn.Module, model._orig_mod)
        else:
            return model


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled functions as they were written, without compiling them for other modes or shapes.

    Scripted ones too: they are optimized after their first calls, for what these were given.
    """
    loaded = "torch._dynamo" in sys.modules
    with (
        torch.compiler.set_stance("force_eager") if loaded else nullcontext(),
        torch.jit.optimized_execution(False),  # type: ignore[attr-defined]
    ):
        yield


@contextmanager
def random_kept(model: nn.Module) -> Iterator[None]:
    """Restore the random generators of Python, NumPy and torch, and those that the model holds."""
    cuda = {each.device.index for each in model.parameters() if each.device.type == "cuda"}
    held = [
        (value, value.get_state())
        for module in model.modules()
        for value in _attributes(module).values()
        if isinstance(value, torch.Generator)
    ]
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=sorted(cuda)):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
            for generator, state in held:
                generator.set_state(state)


@contextmanager
def undisturbed(model: nn.Module, *, batch_statistics: bool) -> Iterator[None]:
    """Restore the modes, buffers and attributes of ``model`` and the random generators afterwards.

    Inside, dropout and randomized activations are off; normalization uses batch or running statistics.
    """
    modes = [(module, module.training) for module in model.modules()]
    with random_kept(model), _buffers_kept(model), _attributes_kept(model):
        for module, _ in modes:
            module.training = batch_statistics and not isinstance(module, STOCHASTIC)
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Let the model work on copies of its buffers: the originals are not even touched."""
    kept: list[tuple[Any, dict[str, Tensor | None]]] = []
    copies: dict[int, Tensor] = {}
    for module in model.modules():
        own = dict(module._buffers.items())
        kept.append((module._buffers, own))
        for name, buffer in own.items():
            if buffer is not None and not nn.parameter.is_lazy(buffer):
                module._buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())
    try:
        yield
    finally:
        for buffers, own in kept:
            if isinstance(buffers, dict):
                for name in [name for name in buffers if name not in own]:
                    del buffers[name]
            for name, buffer in own.items():
                buffers[name] = buffer


@contextmanager
def _attributes_kept(model: nn.Module) -> Iterator[None]:
    """Restore what a forward pass assigns to modules: counters, hidden states, caches."""
    kept = [
        (module, attributes, {name: _copied(each) for name, each in attributes.items()})
        for module in model.modules()
        if (attributes := _attributes(module))
    ]
    plain = {id(module) for module, _, _ in kept}
    rest = [module for module in model.modules() if id(module) not in plain]
    try:
        yield
    finally:
        for module, before, copies in kept:
            _restore(module, before, copies)
        for module in rest:
            _restore(module, {}, {})


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {name: each for name, each in vars(module).items() if name not in _REGISTRIES}


def _copied(value: Any) -> Any:
    """Copy what a forward pass may change in place, one level deep."""
    if type(value) in _CONTAINERS:
        return value.copy()
    plain = isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
    return value.detach().clone() if plain and value.is_leaf and is_readable(value) else None


def _restore(module: nn.Module, before: Mapping[str, Any], copies: Mapping[str, Any]) -> None:
    own = vars(module)
    for name in [name for name in own if name not in before and name not in _REGISTRIES]:
        del own[name]
    for name, value in before.items():
        own[name] = value
        copy = copies[name]
        if isinstance(copy, Tensor):
            value.data.copy_(copy)
        elif isinstance(copy, (list, deque)):
            value.clear()
            value.extend(copy)
        elif copy is not None:
            value.clear()
            value.update(copy)


def is_modal(module: nn.Module) -> bool:
    """Whether training mode changes what a layer computes."""
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return bool(module.track_running_stats)
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    return isinstance(module, nn.RReLU) or (isinstance(module, nn.RNNBase) and module.dropout > 0)
