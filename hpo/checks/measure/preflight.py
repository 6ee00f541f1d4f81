"""Measurements before training: outputs, gradients, the loss, memorization."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from hpo.checks.guard import Guard
from hpo.checks.measure.cut import cut_parameters
from hpo.checks.measure.example_facts import image_facts, label_facts, label_signal, split_t
from hpo.checks.measure.examples import Examples, Forward
from hpo.checks.measure.gradients import loss_gradients, norms
from hpo.checks.measure.memorize import balanced_examples, memorize
from hpo.checks.measure.numeric_gradient import DOUBLE_IMAGES, gradient_error
from hpo.checks.measure.probes import LayerReader, WeightMotion, layer_weights, pack
from hpo.checks.measure.rounding import in_full_precision
from hpo.checks.measure.untouched import random_kept, undisturbed
from hpo.checks.preflight import LabelSignal, LogitFacts, LossProbe, Memorization, Preflight, Snapshot

LossFunction = Callable[[Any, Any], Tensor]

PROBE_IMAGES = 64
"""Images on which layers are read before training: the size of a usual batch."""
SNAPSHOT_IMAGES = 32
"""Images on which layers are read repeatedly during training."""
FEWEST_EXAMPLES = 2
"""Of one, normalization has no batch statistics, and no unit differs between images."""
_EVALUATED = 16
_CONFIDENT = 20.0
"""A logit that leaves the other classes e^-20."""


@dataclass(frozen=True)
class _Probe:
    """What is measured on: examples, and their class labels clamped to the classes, if there are any."""

    examples: Examples
    labels: Tensor | None
    """(n,) int64 in 0 .. classes - 1; None if the loss is not a cross-entropy of classes."""
    classes: int

    def first(self, count: int) -> _Probe:
        if self.labels is None or not self.examples.can_be_cut:
            return _Probe(self.examples.first(count), self.labels, self.classes)
        return _Probe(self.examples.first(count), self.labels[:count], self.classes)


def examine(
    model: nn.Module,
    optimizer: Optimizer | None,
    train: Examples,
    val: Examples | None,
    *,
    classes: int,
    forward: Forward,
    loss_function: LossFunction | None,
    penalty: float | None,
    thorough: bool,
    guard: Guard | None = None,
    seconds: float = math.inf,
) -> Preflight:
    """Measure the untrained ``model``; it and the random generators stay as they are.

    ``classes`` is 0 if unknown. ``thorough`` adds the numeric gradient check in float64. A memorization that
    takes more than ``seconds`` is given up. What cannot be
    measured on this kind of model or data is NaN, empty or None.
    """
    devices = [train.images.device] if train.images is not None and train.images.is_cuda else []
    with torch.random.fork_rng(devices=devices), random_kept(model):
        model, optimizer = _materialized(model, optimizer, forward, train)
        logits, layers, gradients, probe = _first_step(
            model, forward, train.first(PROBE_IMAGES), classes, loss_function
        )
        parts = _Parts(model, optimizer, forward, train, probe, guard or Guard())
        layers = parts.in_full_precision(layers)
        noise, batch_effect = parts.evaluation()
        unreached = tuple(name for name, each in gradients.items() if each is None)
        return Preflight(
            images=image_facts(train.images),
            labels=label_facts(train.labels, classes),
            val_images=image_facts(val.images) if val else None,
            val_labels=label_facts(val.labels, classes) if val else None,
            loss=layers.loss,
            penalty=penalty,
            logits=_logit_facts(logits),
            loss_probe=parts.loss_probe(loss_function),
            memorization=parts.memorization(layers.loss, seconds),
            layers=layers,
            without_gradient=unreached,
            cut_off=parts.cut_off(unreached),
            identical_units=_identical_units(model, gradients),
            eval_noise=noise,
            eval_batch_effect=batch_effect,
            gradient_error=parts.gradient_error() if thorough else None,
            split_t=split_t(train.images, val.images) if val else math.nan,
            signal=parts.signal(val, classes) if val else None,
            output=tuple(logits.shape),
            weight_scale=_weight_scale(model),
            gave_up_after=parts.gave_up_after,
        )


class _Parts:
    """The measurements that may fail, each in a guard: without one of them there are still the others."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        forward: Forward,
        train: Examples,
        probe: _Probe,
        guard: Guard,
    ) -> None:
        self._model, self._optimizer, self._forward = model, optimizer, forward
        self._train, self._probe, self._guard = train, probe, guard
        self.gave_up_after = math.nan
        labels = None if probe.labels is None else _clamped(train, probe.classes)
        self._whole = _Probe(train, labels, probe.classes)

    def in_full_precision(self, layers: Snapshot) -> Snapshot:
        images = self._probe.examples.inputs
        measure = lambda: in_full_precision(layers, self._model, self._forward, images)  # noqa: E731
        return self._guard.run("check of precision", measure, layers)

    def evaluation(self) -> tuple[float, float]:
        few, unknown = self._train.first(_EVALUATED), (math.nan, math.nan)
        measure = lambda: _evaluation(self._model, self._forward, few)  # noqa: E731
        return self._guard.run("evaluation of the untrained network", measure, unknown)

    def loss_probe(self, loss_function: LossFunction | None) -> LossProbe | None:
        whole = self._whole
        measure = lambda: _probe_loss(loss_function, whole.labels, whole.classes)  # noqa: E731
        return self._guard.run("probe of the loss function", measure, None)

    def memorization(self, loss: float, seconds: float) -> Memorization | None:
        measure = lambda: _memorization(  # noqa: E731
            self._model, self._optimizer, self._forward, self._whole, loss, seconds
        )
        started = time.process_time()
        found = self._guard.run("memorization of a few examples", measure, None)
        if found is None and time.process_time() - started > seconds:
            self.gave_up_after = seconds
        return found

    def cut_off(self, unreached: Sequence[str]) -> tuple[str, ...]:
        inputs, named = self._probe.examples.inputs, dict(self._model.named_parameters())
        cut = {name: named[name] for name in unreached}
        measure = lambda: cut_parameters(self._model, self._forward, inputs, cut)  # noqa: E731
        return self._guard.run("search for what is detached", measure, ())

    def gradient_error(self) -> float | None:
        few = self._whole.first(DOUBLE_IMAGES)
        measure = lambda: gradient_error(self._model, few.examples.inputs, few.labels)  # noqa: E731
        return self._guard.run("numeric gradient check", measure, None)

    def signal(self, val: Examples, classes: int) -> LabelSignal | None:
        return self._guard.run("linear probe", lambda: label_signal(self._train, val, classes), None)


def _materialized(
    model: nn.Module, optimizer: Optimizer | None, forward: Forward, train: Examples
) -> tuple[nn.Module, Optimizer | None]:
    """Return copies if there are lazy modules: their parameters are drawn in the copies only."""
    lazy = [each for each in (*model.parameters(), *model.buffers()) if nn.parameter.is_lazy(each)]
    if not lazy:
        return model, optimizer
    memo: dict[int, Any] = {}
    uninitialized: Any = nn.parameter.UninitializedBuffer
    for each in lazy:
        if isinstance(each, uninitialized):  # deepcopy cannot
            memo[id(each)] = uninitialized(False, each.device, each.dtype)
    model, optimizer = copy.deepcopy((model, optimizer), memo)
    with torch.no_grad():
        forward(model, train.first(PROBE_IMAGES).inputs)
    return model, optimizer


def _clamped(train: Examples, classes: int) -> Tensor | None:
    labels = train.classes
    return None if labels is None else labels.clamp(0, classes - 1)


def _memorization(
    model: nn.Module,
    optimizer: Optimizer | None,
    forward: Forward,
    probe: _Probe,
    loss: float,
    seconds: float,
) -> Memorization | None:
    """Memorize a few examples; None without an optimizer, classes or a finite loss."""
    if optimizer is None or probe.labels is None or not math.isfinite(loss) or not probe.examples.can_be_cut:
        return None
    few = balanced_examples(probe.labels)
    inputs = probe.examples.changed(lambda each: each[few]).inputs
    return memorize(model, optimizer, forward, inputs, probe.labels[few], seconds=seconds)


def _first_step(
    model: nn.Module,
    forward: Forward,
    examples: Examples,
    classes: int,
    loss_function: LossFunction | None,
) -> tuple[Tensor, Snapshot, dict[str, Tensor | None], _Probe]:
    """Return outputs, layer statistics, each parameter's gradient (None without one), and what to measure on.

    The loss is the cross-entropy where labels and outputs are those of classes. Of other losses only the
    gradients are used: of the loop's own, if known, else of the mean square of the outputs.
    """
    reader = LayerReader(model, signs=True)
    named = {
        name: each
        for name, each in model.named_parameters()
        if each.requires_grad and not nn.parameter.is_lazy(each)
    }
    with undisturbed(model, batch_statistics=True), torch.enable_grad():
        with reader.listening():
            logits = forward(model, examples.inputs)
        probe = _probe_of(examples, logits, classes)
        if probe.labels is not None:
            known = loss = F.cross_entropy(logits, probe.labels)
        else:
            known = torch.full((), math.nan)
            loss = _other_loss(logits, examples.labels, loss_function)
        gradients = loss_gradients(loss, list(named.values()))
    by_name = dict(zip(named, gradients, strict=True))
    given = {
        name: gradient
        for name in layer_weights(model)
        if (gradient := by_name.get(_weight_name(name))) is not None
    }
    at_rest = WeightMotion.at_rest(
        layer_weights(model), dict(zip(given, norms(list(given.values())), strict=True))
    )
    sites = reader.sites
    if sites:
        sites[-1] = replace(sites[-1], nonlinearity=reader.ends_with(logits))
    snapshot = pack(-1, 0.0, known.to(logits.device), logits, sites, at_rest).read()
    return logits.detach(), snapshot, by_name, probe


def _probe_of(examples: Examples, logits: Tensor, classes: int) -> _Probe:
    """Tell whether the outputs are logits (n, C) of classes whose labels the examples have."""
    labels, width = examples.classes, classes
    if labels is None or logits.dim() != 2 or len(logits) != len(labels) or not len(labels):
        return _Probe(examples, None, classes)
    if classes == 0:
        width = logits.shape[1]
        if int(labels.min()) < 0 or int(labels.max()) >= width:
            return _Probe(examples, None, classes)
    if width < 2 or logits.shape[1] < width:
        return _Probe(examples, None, classes)
    return _Probe(examples, labels.clamp(0, width - 1), width)


def _other_loss(outputs: Tensor, labels: Any, loss_function: LossFunction | None) -> Tensor:
    """Return a loss () whose gradient reaches what the outputs depend on."""
    if loss_function is not None and labels is not None:
        try:
            return loss_function(outputs, labels).float().mean()
        except (RuntimeError, TypeError, ValueError, IndexError):
            pass  # it takes more than the first output
    return outputs.square().mean()


def _weight_scale(model: nn.Module) -> float:
    """Return the median over layers of |w| / sqrt(2 * units): He's variance is 2 over a unit's inputs."""
    weights = [each.detach() for each in layer_weights(model).values() if each.dim() > 1 and each.numel()]
    if not weights:
        return math.nan
    usual = torch.tensor([math.sqrt(2 * len(each)) for each in weights])
    return float((torch.stack([each.float() for each in norms(weights)]).cpu() / usual).median())


def _weight_name(module: str) -> str:
    return f"{module}.weight" if module else "weight"


def _logit_facts(outputs: Tensor) -> LogitFacts:
    """Describe outputs (n, classes), or any others as if all places of an example were classes."""
    if outputs.dim() < 2 or not outputs.numel():
        return LogitFacts(*[math.nan] * 6)
    logits = outputs.flatten(1)
    low, high = logits.aminmax()
    sums = logits.sum(1)
    between_images, between_classes = (
        logits.std(dim).mean() if logits.shape[dim] > 1 else low.new_full((), math.nan) for dim in (0, 1)
    )
    log_sum = logits.float().logsumexp(1).abs().max()
    numbers = [low, high, *sums.aminmax(), between_images, between_classes, log_sum]
    return LogitFacts(*torch.stack(numbers).tolist())


def _evaluation(model: nn.Module, forward: Forward, few: Examples) -> tuple[float, float]:
    """Return differences of logits, of two evaluations and of a batch and its halves, over their spread.

    The second is NaN if the examples cannot be cut, or if outputs are not by example.
    """
    with torch.no_grad(), undisturbed(model, batch_statistics=False):
        whole = forward(model, few.inputs)
        again = forward(model, few.inputs)
        if not whole.dim() or len(whole) < FEWEST_EXAMPLES:
            return math.nan, math.nan
        halves = None
        if few.can_be_cut and len(whole) == few.count:
            half = (few.count + 1) // 2
            parts = (few.first(half), few.changed(lambda each: each[half:]))
            halves = torch.cat([forward(model, part.inputs) for part in parts])
    spread = whole.std(0).mean() + 1e-3
    between = (again - whole).abs().max()
    if halves is None or halves.shape != whole.shape:
        return float(between / spread), math.nan
    differences = torch.stack([between, (halves - whole).abs().max()])
    noise, effect = (differences / spread).tolist()
    return noise, effect


def _probe_loss(loss_function: LossFunction | None, labels: Tensor | None, classes: int) -> LossProbe | None:
    """Evaluate the loss function on outputs whose cross-entropy is known.

    None without a loss function or without classes.
    """
    if loss_function is None or labels is None:
        return None
    labels = labels[:PROBE_IMAGES]
    right = F.one_hot(labels, classes).float()
    even = torch.zeros_like(right)
    outputs = [even, _CONFIDENT * right, _CONFIDENT * right.roll(1, dims=1), torch.cat([even, even])]
    targets = [labels, labels, labels, torch.cat([labels, labels])]
    with torch.no_grad():
        values = [
            loss_function(output, target).float().mean()
            for output, target in zip(outputs, targets, strict=True)
        ]
    return LossProbe(*torch.stack(values).tolist())


def _identical_units(model: nn.Module, gradients: Mapping[str, Tensor | None]) -> tuple[str, ...]:
    """Return hidden layers whose two or more units all have the same weights.

    Layers of zeros whose units get different gradients do not count: residual branches may start like that.
    """
    names, same = [], []
    for name, weight in list(layer_weights(model).items())[:-1]:
        rows = weight.detach().flatten(1)
        if len(rows) > 1:
            names.append(name)
            gradient = gradients.get(_weight_name(name))
            parts = torch.zeros_like(rows) if gradient is None else gradient.flatten(1)
            differ = (rows == 0).all() & ((parts - parts[:1]).abs().max() > 1e-3 * parts.abs().max())
            same.append((rows == rows[:1]).all() & ~differ)
    flags = torch.stack(same).tolist() if same else []
    return tuple(name for name, is_identical in zip(names, flags, strict=True) if is_identical)
