"""Audit of the first steps of a loop, from the gradient of the loss to the change of the weights.

Each number is the ratio or the cosine of two vectors that are equal in a sound loop, so it needs no scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.compared import against_cross_entropy, cosine, dot, ratio
from hpo.checks.measure.loss_kind import (
    KINDS,
    class_entropy,
    constant_loss,
    error_kind,
    implied_loss,
    loss_kind,
    pull,
    tail_share,
    variety,
)
from hpo.checks.measure.nested import is_readable, outputs, tensors
from hpo.checks.measure.probes import layer_weights
from hpo.checks.observations import StepAudit

_STEPS = 3
"""Number of audited steps: a single one may be unusual (e.g. a rate of 0 at the start of a warm-up)."""
_UNKNOWN = math.nan
AUDIT = "audit of the first steps"
"""What the guard calls it."""


@dataclass
class _AuditedStep:
    """A step from its first forward pass on."""

    step: int
    outputs: list[Tensor]
    """Detached; the first is (B, classes) in a sound loop of a classification."""
    gradients: dict[int, Tensor] = field(default_factory=dict)
    """Of the loss with respect to each of the outputs, as far as backward has reached them."""
    fresh: dict[int, Tensor] = field(default_factory=dict)
    """Gradients of the watched weights as backward produced them, before anything changed them."""
    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)
    input: tuple[int, ...] = ()
    """Shape of the inputs; empty if they are not a single tensor."""
    input_floats: bool = True
    has_stepped: bool = False
    has_followers: bool = False
    """Whether the step has more forward passes, so the reported loss may belong to another one."""
    made: list[object] = field(default_factory=list)
    """The nodes of autograd that made the outputs."""
    numbers: dict[str, Tensor] = field(default_factory=dict)
    """The fields of StepAudit, () on the device."""

    @property
    def output(self) -> Tensor:
        """The first output that the loss depends on."""
        return self.outputs[min(self.gradients, default=0)]

    @property
    def gradient(self) -> Tensor | None:
        """Of the loss with respect to ``output``."""
        return self.gradients[min(self.gradients)] if self.gradients else None


class StepAuditor:
    """Audits the first steps of a loop through hooks that are removed after them.

    It reads three layers of weights: the first, the middle and the last in the optimizer. ``ignoring()`` is
    true during forward passes that are not the loop's. Several outputs are audited like one.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        classes: int,
        ignoring: Callable[[], bool],
        guard: Guard | None = None,
    ) -> None:
        self._model = model
        self._optimizers = optimizers
        self._classes = classes
        self._ignoring = ignoring
        self._guard = guard or Guard()
        self._weights: list[Tensor] | None = None
        """Known after the first forward pass: lazy modules have none before."""
        self._closure_weights: list[Tensor] | None = None
        """Their values before a step whose forward passes are inside, in a closure."""
        self._accumulates = False
        """Whether a step with a closure has earlier passes, before it: Lightning accumulates so."""
        self._left = _STEPS
        self._open: _AuditedStep | None = None
        self._last: _AuditedStep | None = None
        self._done: list[_AuditedStep] = []
        self._handles: list[RemovableHandle] = []
        self._steps = 0
        self._hook: RemovableHandle | None = None

    def attach(self, part: nn.Module | None = None) -> None:
        """Register the hook, on the ``part`` of the model that makes its outputs."""
        if self._hook is not None:
            self._hook.remove()
        self._hook = (part or self._model).register_forward_hook(
            Hook(self._guard, AUDIT, self._on_forward), with_kwargs=True
        )

    def close(self) -> None:
        """Remove the hooks; unfinished audits are dropped."""
        for handle in (*((self._hook,) if self._hook else ()), *self._handles):
            handle.remove()
        self._handles, self._left, self._open = [], 0, None

    def resume(self, steps: int) -> None:
        """Audit those of the first steps that are left after ``steps`` of another run of the training."""
        self._steps, self._left = steps, max(0, _STEPS - steps)
        if self._left == 0:
            self.close()

    @torch.no_grad()
    def before_step(self, *, closure: bool = False) -> None:
        """Compare the gradient with that of backward, just before the optimizer steps.

        With a ``closure``, the forward and backward passes are part of the step: compared after it.
        """
        weights = self._weights or []
        if self._last is not None:
            self._last.numbers["kept"] = _kept(self._last, weights)
            self._last.before, self._last.after, self._last.gradients, self._last.made = [], [], {}, []
            self._last = None
        if closure and self._left > 0:
            self._accumulates = self._open is not None and bool(self._open.gradients)
            self._forget()
            self._weights = self._weights or _three_weights(self._model, self._optimizers)
            self._closure_weights = [weight.detach().clone() for weight in self._weights]
        elif self._open is not None and self._open.gradients:
            self._open.numbers |= _fidelity(self._open, weights)
            self._open.before = [weight.detach().clone() for weight in weights]
            self._open.has_stepped = True

    @torch.no_grad()
    def after_step(self) -> None:
        """Compare the change of the weights with the gradient, just after the optimizer stepped."""
        self._steps += 1
        current, weights = self._open, self._weights or []
        closure_weights, self._closure_weights = self._closure_weights, None
        if current is None:
            return
        if closure_weights is not None and current.gradients:
            current.has_stepped = True
            current.has_followers |= self._accumulates
            if current.has_followers or len(closure_weights) != len(weights):
                current.numbers.clear()  # the passes of a line search have different weights
            else:
                current.numbers |= _fidelity(current, weights)
                current.before = closure_weights
        if not current.has_stepped:
            return
        if current.before:
            current.after = [weight.detach().clone() for weight in weights]
            current.numbers["descent"] = _descent(current, weights)
        if current.gradient is not None:
            current.numbers["kind"] = loss_kind(current.output, current.gradient)
            current.numbers["implied_loss"] = implied_loss(current.output, current.gradient)
            current.numbers["class_entropy"] = class_entropy(current.output, current.gradient)
            current.numbers["tail"] = tail_share(current.output, current.gradient)
        self._done.append(current)
        self._last, self._open = current, None
        self._left -= 1
        self._forget()
        current.fresh = {}
        if self._left == 0 and self._hook is not None:
            self._hook.remove()

    def reported(self, loss: Tensor, labels: object) -> None:
        """Take the loss () of a step and the labels of its batch, if known."""
        current = self._open or self._last
        if current is None or not current.gradients or "loss" in current.numbers or current.has_followers:
            return
        current.numbers["loss"] = loss.detach().float()
        if current.gradient is not None:
            current.numbers["constant_loss"] = constant_loss(current.output, current.gradient, loss.detach())
            current.numbers["variety"] = variety(current.output)
        if isinstance(labels, Tensor) and labels.is_floating_point() and current.gradient is not None:
            current.numbers["error"] = error_kind(current.output, current.gradient, labels)
            current.numbers["pull"] = pull(current.output, current.gradient, labels)
        for each in tensors(labels):
            numbers = against_cross_entropy(current.outputs, current.gradients, each, self._classes)
            if numbers:
                current.numbers |= numbers
                return

    @property
    def is_done(self) -> bool:
        """Whether no step is left to be audited, and none waits for what follows it."""
        return self._left == 0 and self._last is None and self._open is None

    @property
    def is_open(self) -> bool:
        """Whether a step has begun that is not over."""
        return self._open is not None and not self._open.has_stepped

    @property
    def made(self) -> list[object]:
        """The nodes that made the outputs of the audited step."""
        current = self._open or self._last
        return current.made if current is not None else []

    def read(self) -> list[StepAudit]:
        """Move the finished audits to the host and forget them."""
        ready = [each for each in self._done if each is not self._last]
        self._done = [each for each in self._done if each is self._last]
        return [_read(each) for each in ready]

    def _forget(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._open = [], None

    def _on_forward(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        if self._ignoring() or self._left == 0:
            return
        learnable = [each for each in outputs(output) if each.requires_grad]
        if not learnable:
            return
        if self._weights is None:
            self._weights = _three_weights(self._model, self._optimizers)
        if self._open is not None and self._open.gradients:
            self._open.has_followers = True  # a step of several passes is audited by its first
            follower, weights = self._open, self._weights
            self._handles.append(
                learnable[0].register_hook(self._guarded(lambda _: _restart(follower, weights)))
            )
            return
        current = _AuditedStep(self._steps, [each.detach() for each in learnable])
        current.made = [each.grad_fn for each in learnable]
        if len(inputs) == 1 and isinstance(inputs[0], Tensor):
            current.input, current.input_floats = tuple(inputs[0].shape), inputs[0].is_floating_point()
        self._forget()
        self._open = current
        for place, each in enumerate(learnable):
            self._handles.append(each.register_hook(self._guarded(_keep(current.gradients, place))))
        for place, weight in enumerate(self._weights):
            if weight.requires_grad:
                self._handles.append(weight.register_hook(self._guarded(_collect(current.fresh, place))))

    def _guarded(self, call: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        return lambda gradient: self._guard.run(AUDIT, lambda: call(gradient), None)


def _three_weights(model: nn.Module, optimizers: Sequence[Optimizer]) -> list[Tensor]:
    """Return the first, the middle and the last of the weights in the optimizer.

    None of a training by several processes, which average gradients between backward and the step.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if distributed and torch.distributed.get_world_size() > 1:
        return []
    held = {
        id(each) for optimizer in optimizers for group in optimizer.param_groups for each in group["params"]
    }
    weights = [each for each in layer_weights(model).values() if id(each) in held and each.is_leaf]
    places = sorted({0, len(weights) // 2, len(weights) - 1})
    return [weights[place] for place in places] if weights else []


def _keep(gradients: dict[int, Tensor], place: int) -> Callable[[Tensor], None]:
    """Keep the first gradient of an output."""

    def hook(gradient: Tensor) -> None:
        if place not in gradients and is_readable(gradient):
            gradients[place] = gradient.detach()

    return hook


def _collect(fresh: dict[int, Tensor], place: int) -> Callable[[Tensor], None]:
    """Sum the gradients: a weight may be used twice, and a step may have several passes.

    Sparse gradients are left out. A gradient that has its own graph must not be kept alive.
    """

    def hook(gradient: Tensor) -> None:
        if not is_readable(gradient):
            return
        if gradient.requires_grad:
            gradient = gradient.detach().clone()
        before = fresh.get(place)
        # No clone: autograd copies a gradient that is referenced, so in-place clipping does not reach it.
        fresh[place] = gradient if before is None else before + gradient

    return hook


def _restart(current: _AuditedStep, weights: Sequence[Tensor]) -> None:
    """Forget the gradients that were set to zero before another backward pass, as between two networks."""
    for place in list(current.fresh):
        gradient = weights[place].grad
        if gradient is None:
            del current.fresh[place]
        elif is_readable(gradient):
            current.fresh[place] = current.fresh[place] * gradient.any()


def _fidelity(current: _AuditedStep, weights: list[Tensor]) -> dict[str, Tensor]:
    """Compare the gradient at the step with the one that backward produced."""
    places = [
        place for place in current.fresh if (given := weights[place].grad) is None or is_readable(given)
    ]
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
        "gradient_cosine": cosine(used, fresh),
        "gradient_scale": ratio(dot(used, fresh), dot(fresh, fresh)),
        "lost": ratio(torch.stack(lost).sum().float(), given_entries),
    }


def _descent(current: _AuditedStep, weights: list[Tensor]) -> Tensor:
    """Return the cosine between the step and the downhill direction."""
    moved = [(a - b, w.grad) for a, b, w in zip(current.after, current.before, weights, strict=True)]
    known = [
        (change, -gradient.detach())
        for change, gradient in moved
        if gradient is not None and is_readable(gradient)
    ]
    if not known:
        return torch.full((), _UNKNOWN)
    changes, downhill = zip(*known, strict=True)
    return cosine(list(changes), list(downhill))


def _kept(last: _AuditedStep, weights: list[Tensor]) -> Tensor:
    """Return the remaining share of the last step's change."""
    if not last.after:
        return torch.full((), _UNKNOWN)
    changes = [after - before for after, before in zip(last.after, last.before, strict=True)]
    now = [weight.detach() - before for weight, before in zip(weights, last.before, strict=True)]
    return ratio(dot(now, changes), dot(changes, changes))


_NUMBERS = (
    *("loss", "cross_entropy", "cosine", "scale", "idle", "lead"),
    *("gradient_cosine", "gradient_scale", "lost", "descent", "kept", "implied_loss"),
    *("pull", "tail", "constant_loss", "variety", "class_entropy"),
)


def _read(audited: _AuditedStep) -> StepAudit:
    """Move the numbers to the host in one transfer."""
    device = audited.output.device
    numbers = [audited.numbers.get(name, torch.full((), _UNKNOWN)) for name in _NUMBERS]
    values = torch.stack([number.float().to(device) for number in numbers]).tolist()
    examples = len(audited.output) if audited.output.dim() else 0
    kinds = [int(audited.numbers[name]) for name in ("kind", "error") if name in audited.numbers]
    return StepAudit(
        audited.step,
        examples,
        **dict(zip(_NUMBERS, values, strict=True)),
        kind=KINDS[max(kinds, default=0)],
        output=tuple(audited.output.shape),
        input=audited.input,
        input_floats=audited.input_floats,
    )
