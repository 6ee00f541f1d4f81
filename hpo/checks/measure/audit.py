"""Audit of the first steps of a loop, from the gradient of the loss to the change of the weights.

Each number is the ratio or the cosine of two vectors that are equal in a sound loop, so it needs no scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.measure.probes import layer_weights
from hpo.checks.observations import StepAudit

_STEPS = 3
"""Number of audited steps: a single one may be unusual (e.g. a rate of 0 at the start of a warm-up)."""
_IDLE = 1e-3
"""An example whose gradient is below this share of the largest one is idle."""
_UNKNOWN = math.nan


@dataclass
class _AuditedStep:
    """A step from its first forward pass on."""

    step: int
    output: Tensor
    """Detached; (B, classes) in a sound loop."""
    gradient: Tensor | None = None
    """Of the loss with respect to the output."""
    fresh: dict[int, Tensor] = field(default_factory=dict)
    """Gradients of the watched weights as backward produced them, before anything changed them."""
    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)
    has_followers: bool = False
    """Whether the step has more forward passes, so the reported loss may belong to another one."""
    numbers: dict[str, Tensor] = field(default_factory=dict)
    """The fields of StepAudit, () on the device."""


class StepAuditor:
    """Audits the first steps of a loop through hooks that are removed after them.

    It reads three layers of weights: the first, the middle and the last in the optimizer. ``ignoring()`` is
    true during forward passes that are not the loop's.
    """

    def __init__(
        self, model: nn.Module, optimizers: Sequence[Optimizer], classes: int, ignoring: Callable[[], bool]
    ) -> None:
        self._classes = classes
        self._ignoring = ignoring
        self._weights = _three_weights(model, optimizers)
        self._left = _STEPS
        self._open: _AuditedStep | None = None
        self._last: _AuditedStep | None = None
        self._done: list[_AuditedStep] = []
        self._handles: list[RemovableHandle] = []
        self._steps = 0
        self._hook = model.register_forward_hook(self._on_forward)

    def close(self) -> None:
        """Remove the hooks; unfinished audits are dropped."""
        for handle in (self._hook, *self._handles):
            handle.remove()
        self._handles, self._left, self._open = [], 0, None

    def before_step(self) -> None:
        """Compare the gradient with that of backward, just before the optimizer steps."""
        with torch.no_grad():
            if self._last is not None:
                self._last.numbers["kept"] = _kept(self._last, self._weights)
                self._last.before, self._last.after, self._last.gradient = [], [], None
                self._last = None
            if self._open is None or self._open.gradient is None:
                return
            self._open.numbers |= _fidelity(self._open, self._weights)
            self._open.before = [weight.detach().clone() for weight in self._weights]

    def after_step(self) -> None:
        """Compare the change of the weights with the gradient, just after the optimizer stepped."""
        self._steps += 1
        current = self._open
        if current is None or not current.before:
            return
        with torch.no_grad():
            current.after = [weight.detach().clone() for weight in self._weights]
            current.numbers["descent"] = _descent(current, self._weights)
        self._done.append(current)
        self._last, self._open = current, None
        self._left -= 1
        for handle in self._handles:
            handle.remove()
        self._handles, current.fresh = [], {}
        if self._left == 0:
            self._hook.remove()

    def reported(self, loss: Tensor, labels: Tensor | None) -> None:
        """Take the loss () of a step and the labels (B,) of its batch, if known."""
        current = self._open or self._last
        if current is None or current.gradient is None or "loss" in current.numbers or current.has_followers:
            return
        current.numbers["loss"] = loss.detach().float()
        if labels is not None:
            current.numbers |= _against_cross_entropy(current, labels, self._classes)

    def read(self) -> list[StepAudit]:
        """Move the finished audits to the host and forget them."""
        ready = [each for each in self._done if each is not self._last]
        self._done = [each for each in self._done if each is self._last]
        return [_read(each) for each in ready]

    def _on_forward(self, model: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if self._ignoring() or self._left == 0 or not isinstance(output, Tensor) or not output.requires_grad:
            return
        if self._open is not None and self._open.gradient is not None:
            self._open.has_followers = True  # a step of several passes is audited by its first
            return
        current = _AuditedStep(self._steps, output.detach())
        self._open = current
        for handle in self._handles:
            handle.remove()
        self._handles = [output.register_hook(lambda gradient: self._on_backward(current, gradient))]
        for place, weight in enumerate(self._weights):
            if weight.requires_grad:
                self._handles.append(weight.register_hook(_collect(current.fresh, place)))

    @staticmethod
    def _on_backward(current: _AuditedStep, gradient: Tensor) -> None:
        if current.gradient is None:
            current.gradient = gradient.detach()


def _three_weights(model: nn.Module, optimizers: Sequence[Optimizer]) -> list[Tensor]:
    """Return the first, the middle and the last of the weights in the optimizer."""
    held = {
        id(each) for optimizer in optimizers for group in optimizer.param_groups for each in group["params"]
    }
    weights = [each for each in layer_weights(model).values() if id(each) in held and each.is_leaf]
    places = sorted({0, len(weights) // 2, len(weights) - 1})
    return [weights[place] for place in places] if weights else []


def _collect(fresh: dict[int, Tensor], place: int) -> Callable[[Tensor], None]:
    """Sum the gradients: a weight may be used twice, and a step may have several passes."""

    def hook(gradient: Tensor) -> None:
        before = fresh.get(place)
        # No clone: autograd copies a gradient that is referenced, so in-place clipping does not reach it.
        fresh[place] = gradient if before is None else before + gradient

    return hook


def _dot(one: list[Tensor], other: list[Tensor]) -> Tensor:
    products = [(a.float() * b.float()).sum() for a, b in zip(one, other, strict=True)]
    return torch.stack(products).sum()


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; NaN where the denominator is 0."""
    return torch.where(denominator > 0, numerator / denominator, torch.full_like(numerator, _UNKNOWN))


def _cosine(one: list[Tensor], other: list[Tensor]) -> Tensor:
    return _ratio(_dot(one, other), (_dot(one, one) * _dot(other, other)).sqrt())


def _fidelity(current: _AuditedStep, weights: list[Tensor]) -> dict[str, Tensor]:
    """Compare the gradient at the step with the one that backward produced."""
    places = list(current.fresh)
    if not places:
        return {}
    fresh = [current.fresh[place] for place in places]
    used = [
        torch.zeros_like(given) if (gradient := weights[place].grad) is None else gradient.detach()
        for place, given in zip(places, fresh, strict=True)
    ]
    given_entries = torch.stack([(each != 0).sum() for each in fresh]).sum().float()
    lost = [((g != 0) & (u == 0)).sum() for g, u in zip(fresh, used, strict=True)]
    return {
        "gradient_cosine": _cosine(used, fresh),
        "gradient_scale": _ratio(_dot(used, fresh), _dot(fresh, fresh)),
        "lost": _ratio(torch.stack(lost).sum().float(), given_entries),
    }


def _descent(current: _AuditedStep, weights: list[Tensor]) -> Tensor:
    """Return the cosine between the step and the downhill direction."""
    moved = [(a - b, w.grad) for a, b, w in zip(current.after, current.before, weights, strict=True)]
    known = [(change, -gradient.detach()) for change, gradient in moved if gradient is not None]
    if not known:
        return torch.full((), _UNKNOWN)
    changes, downhill = zip(*known, strict=True)
    return _cosine(list(changes), list(downhill))


def _kept(last: _AuditedStep, weights: list[Tensor]) -> Tensor:
    """Return the remaining share of the last step's change."""
    changes = [after - before for after, before in zip(last.after, last.before, strict=True)]
    now = [weight.detach() - before for weight, before in zip(weights, last.before, strict=True)]
    return _ratio(_dot(now, changes), _dot(changes, changes))


def _against_cross_entropy(current: _AuditedStep, labels: Tensor, classes: int) -> dict[str, Tensor]:
    """Compare the loss's gradient by the logits, centered over classes, with (softmax - one-hot) / B."""
    gradient, logits = current.gradient, current.output.float()
    fits = logits.shape == (len(labels), classes) and not labels.is_floating_point()
    if gradient is None or not fits or not len(labels):
        return {}
    inside = labels.to(logits.device).clamp(0, classes - 1)
    usual = (logits.softmax(1) - F.one_hot(inside, classes)) / len(labels)
    given = gradient.float() - gradient.float().mean(1, keepdim=True)
    sizes = given.norm(dim=1)
    active = sizes > _IDLE * sizes.max()
    losses = F.cross_entropy(logits, inside, reduction="none")
    return {
        "cross_entropy": losses.mean(),
        "cosine": _cosine([given], [usual]),
        "scale": _ratio((given * usual).sum(), usual.square().sum()),
        "idle": 1 - active.float().mean(),
        "lead": _ratio((losses * active).sum(), active.sum().float()) - losses.mean(),
    }


_NUMBERS = (
    *("loss", "cross_entropy", "cosine", "scale", "idle", "lead"),
    *("gradient_cosine", "gradient_scale", "lost", "descent", "kept"),
)


def _read(audited: _AuditedStep) -> StepAudit:
    """Move the numbers to the host in one transfer."""
    device = audited.output.device
    numbers = [audited.numbers.get(name, torch.full((), _UNKNOWN)) for name in _NUMBERS]
    values = torch.stack([number.float().to(device) for number in numbers]).tolist()
    return StepAudit(audited.step, len(audited.output), **dict(zip(_NUMBERS, values, strict=True)))
