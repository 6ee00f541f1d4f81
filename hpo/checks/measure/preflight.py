"""Measurements before training: images, labels, outputs, gradients, the loss, memorization."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from hpo.checks.measure.linear_probe import linear_probe, roughness
from hpo.checks.measure.memorize import balanced_examples, copied, memorize
from hpo.checks.measure.probes import (
    Forward,
    LayerReader,
    WeightMotion,
    layer_weights,
    pack,
    undisturbed,
)
from hpo.checks.measure.rounding import in_full_precision
from hpo.checks.measure.statistics import std_mean
from hpo.checks.observations import (
    ImageFacts,
    LabelFacts,
    LabelSignal,
    LogitFacts,
    LossProbe,
    Preflight,
    Snapshot,
)
from hpo.generators import kept_generators
from hpo.heartbeat import beat

LossFunction = Callable[[Tensor, Tensor], Tensor]

PROBE_IMAGES = 64
"""Images on which layers are read before training: the size of a usual batch."""
SNAPSHOT_IMAGES = 32
"""Images on which layers are read repeatedly during training."""
FEWEST_EXAMPLES = 2
"""Of one, normalization has no batch statistics, and no unit differs between images."""
_EVALUATED = 16
_MIN_EXAMPLES = 100
"""With fewer, a linear model does not exceed chance reliably."""
_THUMB = 4
"""Side of the thumbnails on which the two splits are compared."""
_CONFIDENT = 20.0
"""A logit that leaves the other classes e^-20."""
_DOUBLE_IMAGES = 8
_DOUBLE_STEP = 1e-4
"""Step of the numeric derivative over the weights' norm: small for kinks, large for rounding."""


@dataclass(frozen=True)
class Examples:
    """Images (n, C, H, W) as the network gets them, and labels (n,) int64."""

    images: Tensor
    labels: Tensor

    def first(self, count: int) -> Examples:
        """Return the first ``count`` examples."""
        return Examples(self.images[:count], self.labels[:count])


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
) -> Preflight:
    """Measure the untrained ``model``; it and the random generators stay as they are.

    ``thorough`` adds the numeric gradient check in float64.
    """
    devices = [train.images.device] if train.images.device.type == "cuda" else []
    with kept_generators(devices):
        labels = label_facts(train.labels, classes)
        probe = Examples(train.images, train.labels.clamp(0, classes - 1))
        logits, layers, gradients = _first_step(model, forward, probe.first(PROBE_IMAGES))
        layers = in_full_precision(layers, model, forward, probe.images[:PROBE_IMAGES])
        few = balanced_examples(probe.labels)
        learnable = math.isfinite(layers.loss)
        noise, batch_effect = _evaluation(model, forward, probe.images[:_EVALUATED])
        return Preflight(
            images=image_facts(train.images),
            labels=labels,
            val_images=image_facts(val.images) if val else None,
            val_labels=label_facts(val.labels, classes) if val else None,
            loss=layers.loss,
            penalty=penalty,
            logits=_logit_facts(logits),
            loss_probe=_probe_loss(loss_function, probe, classes) if loss_function else None,
            memorization=memorize(model, optimizer, forward, probe.images[few], probe.labels[few])
            if learnable and optimizer is not None
            else None,
            layers=layers,
            without_gradient=tuple(name for name, each in gradients.items() if each is None),
            identical_units=_identical_units(model, gradients),
            eval_noise=noise,
            eval_batch_effect=batch_effect,
            gradient_error=_gradient_error(model, probe.first(_DOUBLE_IMAGES)) if thorough else None,
            split_t=_split_t(train.images, val.images) if val else math.nan,
            signal=_signal(train, val, classes) if val else None,
        )


def _signal(train: Examples, val: Examples, classes: int) -> LabelSignal | None:
    """Run the linear probe; None if a label or a pixel is invalid or there are too few examples."""
    splits = (train, val)
    if min(len(each.labels) for each in splits) < _MIN_EXAMPLES:
        return None
    sound = [
        (each.labels >= 0).all() & (each.labels < classes).all() & each.images.isfinite().all()
        for each in splits
    ]
    if not bool(torch.stack(sound).all()):
        return None
    return linear_probe(train.images, train.labels, val.images, val.labels, classes)


def image_facts(images: Tensor) -> ImageFacts:
    """Describe images (n, C, H, W), in one transfer."""
    values = images.detach().float()
    stds, means = (torch.stack(each) for each in zip(*map(std_mean, values.unbind(1)), strict=True))
    std, mean = std_mean(values)
    low, high = values.aminmax()
    channels = len(means)
    clipped_share = torch.maximum((values == low).float().mean(), (values == high).float().mean())
    *numbers, total_mean, total_std, lowest, highest, share_clipped = torch.cat(
        [means, stds, torch.stack([mean, std, low, high, clipped_share])]
    ).tolist()
    return ImageFacts(
        len(images),
        tuple(numbers[:channels]),
        tuple(numbers[channels:]),
        total_mean,
        total_std,
        lowest,
        highest,
        share_clipped,
        roughness(images),
    )


def _split_t(train: Tensor, val: Tensor) -> float:
    """Return Student's t between training and validation images along the mean training image.

    Each half of the training images is projected on the mean of the other, so that the direction is
    independent of it. Flipped or inverted images keep their mean and standard deviation, but not this.
    """
    thumbs, others = (
        F.adaptive_avg_pool2d(images.detach().float(), _THUMB).flatten(1) for images in (train, val)
    )
    halves = thumbs.tensor_split(2)
    if len(halves[1]) < 2 or len(others) < 2:
        return math.nan
    first, second = (half.mean(0) / half.mean(0).norm().clamp(min=1e-12) for half in halves)
    along = torch.cat([halves[0] @ second, halves[1] @ first])
    across = others @ (first + second) / 2
    spread = (along.var() / len(along) + across.var() / len(across)).sqrt()
    return float((along.mean() - across.mean()) / spread.clamp(min=1e-12))


def label_facts(labels: Tensor, classes: int) -> LabelFacts:
    """Describe labels (n,) int64."""
    inside = labels[(labels >= 0) & (labels < classes)]
    counts = torch.bincount(inside, minlength=classes)
    return LabelFacts(tuple(counts.tolist()), int(labels.min()), int(labels.max()))


def _first_step(
    model: nn.Module, forward: Forward, probe: Examples
) -> tuple[Tensor, Snapshot, dict[str, Tensor | None]]:
    """Return logits, layer statistics with the loss, and each parameter's gradient (None without one)."""
    reader = LayerReader(model, signs=True)
    named = {name: each for name, each in model.named_parameters() if each.requires_grad}
    with undisturbed(model, batch_statistics=True), torch.enable_grad():
        with reader.listening():
            logits = forward(model, probe.images)
        loss = F.cross_entropy(logits, probe.labels)
        gradients = _gradients(loss, list(named.values()))
    by_name = dict(zip(named, gradients, strict=True))
    norms = {
        name: gradient.norm()
        for name in layer_weights(model)
        if (gradient := by_name.get(_weight_name(name))) is not None
    }
    at_rest = WeightMotion.at_rest(layer_weights(model), norms)
    snapshot = pack(-1, 0.0, loss, logits, reader.sites, at_rest).read()
    return logits.detach(), snapshot, by_name


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    """Return the gradient of ``loss`` () by each parameter; None without one or if the loss is detached."""
    if not loss.requires_grad:
        return (None,) * len(parameters)
    return torch.autograd.grad(loss, parameters, allow_unused=True)


def _weight_name(module: str) -> str:
    return f"{module}.weight" if module else "weight"


def _logit_facts(logits: Tensor) -> LogitFacts:
    low, high = logits.aminmax()
    sums = logits.sum(1)
    numbers = [low, high, *sums.aminmax(), logits.std(0).mean(), logits.std(1).mean()]
    return LogitFacts(*torch.stack(numbers).tolist())


def _evaluation(model: nn.Module, forward: Forward, images: Tensor) -> tuple[float, float]:
    """Return differences of logits, of two evaluations and of a batch and its halves, over their spread."""
    with torch.no_grad(), undisturbed(model, batch_statistics=False):
        whole = forward(model, images)
        again = forward(model, images)
        halves = torch.cat([forward(model, half) for half in images.split((len(images) + 1) // 2)])
    spread = whole.std(0).mean() + 1e-3
    differences = torch.stack([(again - whole).abs().max(), (halves - whole).abs().max()])
    noise, effect = (differences / spread).tolist()
    return noise, effect


def _probe_loss(loss_function: LossFunction, probe: Examples, classes: int) -> LossProbe:
    """Evaluate the loss function on known outputs."""
    labels = probe.labels[:PROBE_IMAGES]
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


def _gradient_error(model: nn.Module, probe: Examples) -> float | None:
    """Return the largest relative error of backward's derivative, along each parameter's gradient.

    Compares with (L(w + h v) - L(w - h v)) / 2h in float64, normalization on batch statistics. A kink of a
    ReLU within the step adds a small error; a wrong backward pass is off by its own size. NaN if a loss or a
    derivative is; None if the model cannot be copied.
    """
    exact = copied(model)
    if exact is None:
        return None
    exact.double()
    images = probe.images.double()
    errors = [0.0]
    with undisturbed(exact, batch_statistics=True), torch.enable_grad():
        named = [parameter for parameter in exact.parameters() if parameter.requires_grad]
        gradients = _gradients(_exact_loss(exact, images, probe.labels), named)
        scale = math.sqrt(sum(float(each.square().sum()) for each in gradients if each is not None))
        with torch.no_grad():
            for parameter, gradient in zip(named, gradients, strict=True):
                if gradient is not None and scale != 0:
                    errors.append(_along(exact, images, probe.labels, parameter, gradient, scale))
    return max(errors, key=lambda error: (math.isnan(error), error))


def _along(
    model: nn.Module, images: Tensor, labels: Tensor, parameter: Tensor, gradient: Tensor, scale: float
) -> float:
    """Return the error along the gradient itself, where the derivative is largest."""
    norm = float(gradient.norm())
    if norm < 1e-6 * scale:
        return 0.0
    direction = gradient / norm
    step = _DOUBLE_STEP * max(float(parameter.norm()), 1e-2)
    losses = []
    start = parameter.clone()
    for sign in (1, -1):
        parameter.copy_(start + sign * step * direction)
        losses.append(float(_exact_loss(model, images, labels)))
    parameter.copy_(start)
    beat()
    numeric = (losses[0] - losses[1]) / (2 * step)
    return abs(numeric - norm) / norm


def _exact_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy (); functional dropout drops the same units every time."""
    torch.manual_seed(0)
    return F.cross_entropy(model(images.clone()), labels)
