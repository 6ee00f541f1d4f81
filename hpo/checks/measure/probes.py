"""Layer statistics on a probe batch: hooks exist only while they read; one transfer per snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from hpo.checks.measure.statistics import BINS, histogram, sample, std_mean, unit_extremes
from hpo.checks.observations import Snapshot
from hpo.generators import kept_generators
from hpo.records import LayerStatistics

Forward = Callable[[nn.Module, Tensor], Tensor]
"""Runs a model on images (B, C, H, W) and returns logits (B, classes) float32."""

STOCHASTIC = (nn.modules.dropout._DropoutNd, nn.RReLU)
NORMS = (nn.modules.batchnorm._NormBase,)

_FLAT_ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "Sigmoid": lambda a: torch.minimum(a, 1 - a) < 0.02,
    "Tanh": lambda a: a.abs() > 0.98,
    "LecunTanh": lambda a: a.abs() > 0.98 * 1.7159,
    "Hardsigmoid": lambda a: (a <= 0) | (a >= 1),
    "Hardtanh": lambda a: a.abs() >= 1,
    "Softsign": lambda a: a.abs() > 0.98,
}
"""Where an activation counts as saturated, by the class of the layer: its slope is below a tenth of the
largest (sigmoid: 0.08, tanh: 0.04 of it)."""
ACTIVATIONS = {
    *_FLAT_ENDS,
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish"),
    *("Softplus", "Hardswish", "LogSigmoid", "Maxout", "LinearActivation", "Softmax", "Threshold"),
}
_ACTIVATION_FIELDS = ("mean", "std", "dead", "saturated")


def plain_forward(model: nn.Module, images: Tensor) -> Tensor:
    """Run ``model(images)``: the forward pass of a loop that passes no other.

    On a copy: a model may change its input, and the checks use theirs again.
    """
    logits: Tensor = model(images.clone())
    return logits.float()


@contextmanager
def undisturbed(model: nn.Module, *, batch_statistics: bool) -> Iterator[None]:
    """Restore the modes, buffers and attributes of ``model`` and the random generators afterwards.

    Inside, dropout and randomized activations are off; normalization uses batch or running statistics.
    """
    before = [_ModuleState(module) for module in model.modules()]
    devices = {each.device for each in model.parameters() if each.device.type == "cuda"}
    with kept_generators(list(devices)):
        for each in before:
            each.module.training = batch_statistics and not isinstance(each.module, STOCHASTIC)
        try:
            yield
        finally:
            for each in before:
                each.restore()


class _ModuleState:
    """What a forward pass may change of a module itself: its mode, buffers and attributes."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._training = module.training
        own = [buffer for buffer in module.buffers(recurse=False) if not repeats_memory(buffer)]
        self._contents = [(buffer, buffer.clone()) for buffer in own]
        self._is_python = not isinstance(module, torch.jit.ScriptModule)
        if self._is_python:
            self._attributes, self._buffers = dict(vars(module)), dict(module._buffers)

    def restore(self) -> None:
        module = self.module
        if self._is_python:  # a counter, or a buffer that was assigned anew
            vars(module).update(self._attributes)
            for name in vars(module).keys() - self._attributes.keys():
                del vars(module)[name]
            module._buffers.update(self._buffers)
        module.training = self._training
        with torch.no_grad():
            for buffer, before in self._contents:
                buffer.copy_(before)


def repeats_memory(tensor: Tensor) -> bool:
    """Return whether some of its elements are the same memory, as after ``expand``: it cannot be written."""
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))


def weight_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that own a weight of two or more dimensions, by name."""
    found = {}
    for name, module in model.named_modules():
        weight = own_weight(module)
        if weight is not None and weight.ndim >= 2 and not isinstance(module, nn.Embedding):
            found[name] = module
    return found


def own_weight(module: nn.Module) -> Tensor | None:
    """Return the module's own parameter ``weight``, if it has one."""
    return dict(module.named_parameters(recurse=False)).get("weight")


def layer_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of these modules."""
    found = {name: own_weight(module) for name, module in weight_modules(model).items()}
    return {name: weight for name, weight in found.items() if weight is not None}


@dataclass
class _Site:
    """A layer with weights in the forward pass, with numbers () of its activations."""

    name: str
    nonlinearity: str = ""
    numbers: list[Tensor] = field(default_factory=list)
    constant_outputs: Tensor | None = None
    two_signed: Tensor | None = None
    sample: Tensor | None = None
    """(n,) of the activations, for a histogram."""


class LayerReader:
    """Reads one forward pass: its layers in order, with statistics of their activations."""

    def __init__(self, model: nn.Module, *, signs: bool = False, samples: bool = False) -> None:
        """``signs`` also reads ``two_signed``, ``samples`` the values for histograms."""
        self.sites: list[_Site] = []
        self._signs, self._samples = signs, samples
        self._model = model

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take statistics of the forward pass inside."""
        handles: list[RemovableHandle] = []
        for name, module in weight_modules(self._model).items():
            handles.append(module.register_forward_hook(self._on_weights(name)))
        for module in self._model.modules():
            if type(module).__name__ in ACTIVATIONS:
                handles.append(module.register_forward_hook(self._on_activation))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _on_weights(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
            if not isinstance(output, Tensor) or any(site.name == name for site in self.sites):
                return  # a layer that is used twice counts where it is used first
            if inputs and self.sites and not self.sites[-1].nonlinearity:
                # A function, not a layer, computed the activation: it is the input of this layer.
                self._read(self.sites[-1], inputs[0].detach())
            site = _Site(name)
            self._read(site, output.detach())
            site.constant_outputs = site.numbers[_ACTIVATION_FIELDS.index("dead")]
            self.sites.append(site)

        return hook

    def _on_activation(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if self.sites and not self.sites[-1].nonlinearity:
            self.sites[-1].nonlinearity = type(module).__name__
            self._read(self.sites[-1], output.detach())
            if self._signs and not getattr(module, "inplace", False):
                self.sites[-1].two_signed = _two_signed(inputs[0].detach())

    def _read(self, site: _Site, activations: Tensor) -> None:
        site.numbers = _numbers(activations, site.nonlinearity)
        if self._samples:
            site.sample = sample(activations)


def _two_signed(values: Tensor) -> Tensor:
    """Return the share () of units whose values (B, units, ...) have both signs."""
    low, high = unit_extremes(values)
    return ((high > 0) & (low < 0)).float().mean()


def _numbers(activations: Tensor, kind: str) -> list[Tensor]:
    """Return mean, std, dead share and saturated share () of activations (B, units, ...)."""
    values = activations.float()
    std, mean = std_mean(values)
    # One value per unit is no evidence: the network takes its images one by one.
    several = values.dim() > 1 and values.numel() > values.shape[1]
    same = torch.eq(*unit_extremes(values)) if several else torch.zeros(1)
    flat = _FLAT_ENDS[kind](values).float().mean() if kind in _FLAT_ENDS else torch.full_like(mean, torch.nan)
    return [mean, std, same.float().mean(), flat]


def _counted(numbers: Sequence[float]) -> tuple[float, float, tuple[int, ...]]:
    """Split a histogram from the device into lowest, highest and counts; empty if missing or not finite."""
    if not numbers or not all(map(math.isfinite, numbers[:2])):
        return math.nan, math.nan, ()
    low, high, *counts = numbers
    return low, high, tuple(map(int, counts))


@dataclass(frozen=True)
class PendingSnapshot:
    """A snapshot whose numbers are still on the device."""

    step: int
    lr: float
    sites: tuple[tuple[str, str], ...]
    """Name and nonlinearity."""
    numbers: Tensor
    """(2 + sites * 9,): loss, spread of logits, then the fields of LayerStatistics of each site; if samples
    were taken, followed by (sites * (2 + BINS),) of histograms."""

    def read(self) -> Snapshot:
        """Wait for the device and move everything to the host in one transfer."""
        loss, spread, *rest = self.numbers.tolist()
        width = len(_ACTIVATION_FIELDS) + 5
        counted = rest[len(self.sites) * width :]
        layers = []
        for position, (name, kind) in enumerate(self.sites):
            numbers = rest[position * width : (position + 1) * width]
            given = counted[position * (2 + BINS) : (position + 1) * (2 + BINS)]
            low, high, counts = _counted(given)
            layer = LayerStatistics(name, kind, *numbers)
            layers.append(
                replace(layer, low=low, high=high, counts=counts, step=self.step, position=position)
            )
        return Snapshot(self.step, self.lr, loss, spread, tuple(layers))


class Probe:
    """Reads every layer of ``model`` on one fixed batch."""

    def __init__(self, model: nn.Module, forward: Forward, images: Tensor, labels: Tensor) -> None:
        self._model = model
        self._forward = forward
        self._images = images
        self._labels = labels
        self._weights = layer_weights(model)

    def snapshot(
        self, step: int, lr: float, motion: WeightMotion | None, *, histograms: bool = False
    ) -> PendingSnapshot:
        """Read the layers; ``motion`` is the change of the weights in the last step."""
        reader = LayerReader(self._model, samples=histograms)
        with torch.no_grad(), undisturbed(self._model, batch_statistics=True), reader.listening():
            logits = self._forward(self._model, self._images)
        loss = F.cross_entropy(logits, self._labels)
        return pack(step, lr, loss, logits, reader.sites, motion or WeightMotion.at_rest(self._weights))

    def loss(self, *, batch_statistics: bool) -> Tensor:
        """Return the cross-entropy () of the probe batch, with batch statistics or running statistics."""
        with torch.no_grad(), undisturbed(self._model, batch_statistics=batch_statistics):
            return F.cross_entropy(self._forward(self._model, self._images), self._labels)


@dataclass(frozen=True)
class WeightMotion:
    """Norms () of gradients, weights and changes in a step, by the name of the layer."""

    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]
    changes: dict[str, Tensor]

    @classmethod
    def at_rest(cls, weights: dict[str, Tensor], gradients: dict[str, Tensor] | None = None) -> WeightMotion:
        """Return the motion of weights that no step has changed."""
        norms = torch._foreach_norm([weight.detach() for weight in weights.values()]) if weights else []
        return cls(gradients or {}, dict(zip(weights, norms, strict=True)), {})


def pack(
    step: int, lr: float, loss: Tensor, logits: Tensor, sites: Sequence[_Site], motion: WeightMotion
) -> PendingSnapshot:
    """Pack a snapshot into one tensor on the device."""
    nothing = torch.full_like(loss, torch.nan, dtype=torch.float32)
    numbers = [loss.detach().float(), logits.detach().std(0).mean()]
    for site in sites:
        weight = motion.weights.get(site.name, nothing)
        change = motion.changes.get(site.name)
        numbers += site.numbers
        numbers += [motion.gradients.get(site.name, nothing), weight]
        numbers.append(nothing if change is None else change / weight)
        numbers += [nothing if each is None else each for each in (site.constant_outputs, site.two_signed)]
    names = tuple((site.name, site.nonlinearity) for site in sites)
    counted = [histogram(site.sample) for site in sites if site.sample is not None]
    packed = torch.cat([torch.stack([number.float() for number in numbers]), *counted])
    return PendingSnapshot(step, lr, names, packed)


class StepMeter:
    """Measures gradients before a step of the optimizer and changes of the weights after it."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = layer_weights(model)
        self._before: list[Tensor] = []
        self._gradients: dict[str, Tensor] = {}

    @torch.no_grad()
    def before(self) -> None:
        """Measure the gradients, just before the step."""
        given = {name: weight.grad for name, weight in self._weights.items() if weight.grad is not None}
        norms = torch._foreach_norm(list(given.values())) if given else []
        self._gradients = dict(zip(given, norms, strict=True))
        self._before = [weight.detach().clone() for weight in self._weights.values()]

    @torch.no_grad()
    def after(self) -> WeightMotion:
        """Measure the changes, just after the step."""
        if not self._weights:
            return WeightMotion({}, {}, {})
        now = [weight.detach() for weight in self._weights.values()]
        weights = torch._foreach_norm(self._before)
        changes = torch._foreach_norm(torch._foreach_sub(now, self._before))
        self._before = []
        names = list(self._weights)
        return WeightMotion(
            self._gradients,
            dict(zip(names, weights, strict=True)),
            dict(zip(names, changes, strict=True)),
        )
