"""Layer statistics on a probe batch: hooks exist only while they read; one transfer per snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from hpo.checks.measure.examples import Forward
from hpo.checks.measure.gradients import norms
from hpo.checks.measure.nested import is_readable
from hpo.checks.measure.statistics import BINS, histogram, sample, std_mean, unit_extremes
from hpo.checks.measure.untouched import undisturbed
from hpo.checks.preflight import Snapshot
from hpo.records import LayerStatistics

MOST_LAYERS, LAYERS_OF_DEEP = 256, 64
"""Networks with more layers than this are read in this many: reading all would cost more than a few steps."""
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


def weight_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that own a weight of two or more dimensions, by name."""
    found = {}
    for name, module in model.named_modules():
        weight = own_weight(module)
        if weight is None or nn.parameter.is_lazy(weight) or not is_readable(weight):
            continue
        if weight.ndim >= 2 and not isinstance(module, nn.Embedding):
            found[name] = module
    return found


def own_weight(module: nn.Module) -> Tensor | None:
    """Return the module's own parameter ``weight``, if it has one."""
    own = module._parameters
    return own["weight"] if "weight" in own else None  # noqa: SIM401 - scripted modules have no get


def layer_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of these modules."""
    found = {name: own_weight(module) for name, module in weight_modules(model).items()}
    return {name: weight for name, weight in found.items() if weight is not None}


def watched_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of the layers that are read: all, or LAYERS_OF_DEEP evenly over a deep network."""
    weights = list(layer_weights(model).items())
    if len(weights) <= MOST_LAYERS:
        return dict(weights)
    last = len(weights) - 1
    return dict(weights[place * last // (LAYERS_OF_DEEP - 1)] for place in range(LAYERS_OF_DEEP))


@dataclass
class _Site:
    """A call of a layer with weights in the forward pass, with numbers () of its activations."""

    name: str
    nonlinearity: str = ""
    numbers: list[Tensor] = field(default_factory=list)
    before: _Site | None = None
    """The same before its activations were read from the input of the layer ``reader``."""
    reader: str = ""
    constant_outputs: Tensor | None = None
    two_signed: Tensor | None = None
    sample: Tensor | None = None
    """(n,) of the activations, for a histogram."""


class LayerReader:
    """Reads one forward pass: its layers in order, with statistics of their activations."""

    def __init__(self, model: nn.Module, *, signs: bool = False, samples: bool = False) -> None:
        """``signs`` also reads ``two_signed``, ``samples`` the values for histograms."""
        self._calls: list[_Site] = []
        self._activated: Tensor | None = None
        """What the latest activation of a call returned."""
        self._signs, self._samples = signs, samples
        self._model = model
        self._watched = watched_weights(model).keys()
        self._is_between = False
        """Whether the last layer is one that is not watched: what follows is not the last site's."""

    @property
    def sites(self) -> list[_Site]:
        """The layers in the order of their first calls.

        A layer that is called again and again (a recurrent cell, an equilibrium) starts from a constant
        state: what its first call returns is not what the layer does.
        """
        calls: dict[str, list[_Site]] = {}
        for call in self._calls:
            calls.setdefault(call.name, []).append(call)
        repeated = {name for name, found in calls.items() if len(found) > 1}
        return [_merged(found, repeated) for found in calls.values()]

    def ends_with(self, outputs: Tensor) -> str:
        """Return the activation whose values the ``outputs`` of the network are; empty if there is none.

        The last module that ran need not be the last computation.
        """
        last = self._calls[-1].nonlinearity if self._calls and not self._is_between else ""
        given = self._activated
        if not last or given is None or given.numel() != outputs.numel():
            return ""
        same = torch.equal(given.detach().flatten().to(outputs), outputs.detach().flatten())
        return last if same else ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take statistics of the forward pass inside; scripted layers take no hooks and have none."""
        handles: list[RemovableHandle] = []
        for name, module in weight_modules(self._model).items():
            if not isinstance(module, torch.jit.ScriptModule):
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
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
            if not _is_batch(output):
                return
            if inputs and _is_batch(inputs[0]) and self._waits():
                # A function, not a layer, computed the activation: it is the input of this layer.
                self._calls[-1].before = replace(self._calls[-1])
                self._calls[-1].reader = name
                self._read(self._calls[-1], inputs[0].detach())
            self._is_between = name not in self._watched
            if self._is_between:
                return
            site = _Site(name)
            self._read(site, output.detach())
            site.constant_outputs = site.numbers[_ACTIVATION_FIELDS.index("dead")]
            self._calls.append(site)

        return hook

    def _on_activation(self, module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        if _is_batch(output) and self._waits():
            call = self._calls[-1]
            call.nonlinearity, self._activated = type(module).__name__, output
            self._read(call, output.detach())
            if self._signs and inputs and _is_batch(inputs[0]) and not getattr(module, "inplace", False):
                call.two_signed = _two_signed(inputs[0].detach())

    def _waits(self) -> bool:
        """Whether the nonlinearity of the last call is still unknown."""
        return bool(self._calls) and not self._is_between and not self._calls[-1].nonlinearity

    def _read(self, site: _Site, activations: Tensor) -> None:
        site.numbers = _numbers(activations, site.nonlinearity)
        if self._samples:
            site.sample = sample(activations)


def _merged(calls: Sequence[_Site], repeated: Set[str]) -> _Site:
    """Return one site for all calls of a layer: the call with the smallest share of dead units.

    The input of a repeated layer may be its own state, not the activation of the layer before it.
    """
    first = calls[0]
    if len(calls) == 1 and first.reader not in repeated:
        return first
    looks = [*calls, *(call.before for call in calls if call.before is not None)]
    place = _ACTIVATION_FIELDS.index("dead")
    least = torch.stack([look.numbers[place] for look in looks]).argmin(0, keepdim=True)
    constant = [call.constant_outputs for call in calls if call.constant_outputs is not None]
    return replace(
        first,
        numbers=list(torch.stack([torch.stack(look.numbers) for look in looks]).index_select(0, least)[0]),
        constant_outputs=torch.stack(constant).amin(),
        sample=_chosen([look.sample for look in looks], least),
    )


def _chosen(samples: Sequence[Tensor | None], place: Tensor) -> Tensor | None:
    """Return the sample at ``place`` (1,), or the first if their sizes differ."""
    known = [each for each in samples if each is not None]
    if len(known) < len(samples) or len({len(each) for each in known}) > 1:
        return samples[0]
    return torch.stack(known).index_select(0, place)[0]


def _is_batch(value: object) -> TypeGuard[Tensor]:
    """Whether ``value`` is activations (B, ...) whose statistics can be read."""
    return isinstance(value, Tensor) and is_readable(value) and value.dim() > 0 and value.numel() > 0


def _two_signed(values: Tensor) -> Tensor:
    """Return the share () of units whose values (B, units, ...) have both signs."""
    low, high = unit_extremes(values)
    return ((high > 0) & (low < 0)).float().mean()


def _numbers(activations: Tensor, kind: str) -> list[Tensor]:
    """Return mean, std, dead share and saturated share () of activations (B, units, ...)."""
    values = activations.float()
    std, mean = std_mean(values)
    # One value per unit is not evidence: the network takes its images one by one.
    several = values.dim() > 1 and values.numel() > values.shape[1]
    same = torch.eq(*unit_extremes(values)) if several else values.new_zeros(1)
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

    def __init__(
        self, model: nn.Module, forward: Forward, images: Any, labels: Tensor | None, classes: int = 0
    ) -> None:
        """``labels`` (B,) are class labels, if there are any; ``classes`` is 0 if unknown."""
        self._model = model
        self._forward = forward
        self._images = images
        if labels is not None and classes == 0:
            lowest, highest = labels.aminmax()
            classes = max(2, int(highest) + 1)
            labels = labels if lowest >= 0 else None
        self._classes = classes
        self._labels = None if labels is None else labels.clamp(0, classes - 1)

    @property
    def has_classes(self) -> bool:
        """Whether the cross-entropy of the batch is known."""
        return self._labels is not None

    @property
    def has_running_statistics(self) -> bool:
        """Whether normalization computes something else in evaluation mode."""
        found = (each for each in self._model.modules() if isinstance(each, NORMS))
        return any(each.track_running_stats for each in found)

    def snapshot(
        self, step: int, lr: float, motion: WeightMotion | None, *, histograms: bool = False
    ) -> PendingSnapshot:
        """Read the layers; ``motion`` is the change of the weights in the last step."""
        reader = LayerReader(self._model, samples=histograms)
        with torch.no_grad(), undisturbed(self._model, batch_statistics=True), reader.listening():
            logits = self._forward(self._model, self._images)
        at_rest = motion or WeightMotion.at_rest(watched_weights(self._model))
        return pack(step, lr, self._cross_entropy(logits), logits, reader.sites, at_rest)

    def loss(self, *, batch_statistics: bool) -> Tensor:
        """Return the cross-entropy () of the probe batch, with batch statistics or running statistics."""
        with torch.no_grad(), undisturbed(self._model, batch_statistics=batch_statistics):
            return self._cross_entropy(self._forward(self._model, self._images))

    def _cross_entropy(self, logits: Tensor) -> Tensor:
        """Return the loss (); NaN if there are no classes."""
        shape = logits.shape
        if self._labels is None or len(shape) != 2 or len(self._labels) != shape[0]:
            return logits.new_full((), math.nan)
        if not 2 <= self._classes <= shape[1]:
            return logits.new_full((), math.nan)
        return F.cross_entropy(logits, self._labels)


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
    spread = logits.detach().std(0).mean() if logits.dim() and len(logits) > 1 else nothing
    numbers = [loss.detach().float(), spread]
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
        self._model = model
        self._weights: dict[str, Tensor] = {}
        self._before: list[Tensor] = []
        self._gradients: dict[str, Tensor] = {}

    @torch.no_grad()
    def before(self) -> None:
        """Remember the weights and measure their gradients, just before the step."""
        self._weights = watched_weights(self._model)
        self._before = [weight.detach().clone() for weight in self._weights.values()]
        self.measure_gradients()

    @torch.no_grad()
    def measure_gradients(self) -> None:
        """Measure the gradients that there are."""
        given = {name: weight.grad for name, weight in self._weights.items() if weight.grad is not None}
        self._gradients = dict(zip(given, norms(list(given.values())), strict=True))

    @torch.no_grad()
    def after(self) -> WeightMotion | None:
        """Measure the changes, just after the step; None if the weights before it are not known."""
        before, self._before = self._before, []
        if len(before) != len(self._weights):
            return None
        if not before:
            return WeightMotion({}, {}, {})
        now = [weight.detach() for weight in self._weights.values()]
        weights = torch._foreach_norm(before)
        changes = torch._foreach_norm(torch._foreach_sub(now, before))
        names = list(self._weights)
        return WeightMotion(
            self._gradients,
            dict(zip(names, weights, strict=True)),
            dict(zip(names, changes, strict=True)),
        )
