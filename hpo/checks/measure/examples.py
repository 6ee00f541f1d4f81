"""Examples as a loader gives them, and running a model on them as a loop would."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hpo.checks.measure.nested import is_batch, is_readable, length, mapped, outputs, tensors
from hpo.errors import UserError

Forward = Callable[[nn.Module, Any], Tensor]
"""Runs a model on inputs and returns its output float32: logits (B, classes) where there are classes."""

_LABEL_NAMES = ("labels", "label", "targets", "target", "y")


@dataclass(frozen=True)
class Examples:
    """Inputs (n, ...) as the network gets them, e.g. images (n, C, H, W), and what it has to learn."""

    inputs: Any
    """A tensor, or tensors in tuples, lists and dicts, or any other object that the model takes."""
    labels: Any = None
    """Class labels (n,) or any other targets; None if the loop has none."""

    @property
    def images(self) -> Tensor | None:
        """The first tensor of the inputs."""
        return next((each for each in tensors(self.inputs) if is_readable(each)), None)

    @property
    def classes(self) -> Tensor | None:
        """Class labels (n,) int64; None if the labels are something else."""
        return class_labels(self.labels)

    @property
    def count(self) -> int:
        """Number of examples; where inputs and labels differ in it, that of the inputs."""
        return length((self.inputs, self.labels)) or next(
            (len(each) for each in tensors(self.inputs) if each.dim()), 0
        )

    @property
    def can_be_cut(self) -> bool:
        """Whether all inputs and labels are tensors (n, ...) with the same n."""
        both = (self.inputs,) if self.labels is None else (self.inputs, self.labels)
        return is_batch(both) and length(both) is not None

    def first(self, count: int) -> Examples:
        """Return the first ``count`` examples; all of them if they cannot be cut."""
        return self.changed(lambda each: each[:count]) if self.can_be_cut else self

    def changed(self, change: Callable[[Tensor], Tensor]) -> Examples:
        """Return the examples with every tensor changed."""
        return Examples(mapped(self.inputs, change), mapped(self.labels, change))


def examples_of(inputs: object, labels: object) -> Examples:
    """Return examples from inputs and labels, or from one batch that holds both.

    A batch is (inputs, ..., labels) or a dict with one of ``_LABEL_NAMES``.
    """
    if labels is not None:
        return Examples(inputs, labels)
    if isinstance(inputs, (tuple, list)) and len(inputs) > 1 and not isinstance(inputs[0], (int, float)):
        *first, last = inputs
        return Examples(first[0] if len(first) == 1 else tuple(first), last)
    if isinstance(inputs, Mapping):
        name = next((each for each in _LABEL_NAMES if each in inputs), None)
        if name is not None:
            return Examples({key: each for key, each in inputs.items() if key != name}, inputs[name])
    return Examples(inputs)


def check_examples(examples: Examples) -> None:
    """Raise ``UserError`` if the inputs hold no tensor."""
    if not tensors(examples.inputs):
        raise UserError(
            f"before: {type(examples.inputs).__name__} holds no tensor. Pass inputs and labels as the loop "
            "gives them to the model, or a batch of the loader."
        )


def class_labels(labels: object) -> Tensor | None:
    """Return integer labels (n,) or (n, 1), the first of several, as (n,) int64; None for anything else."""
    given = next(iter(tensors(labels)), None)
    if given is None or not is_readable(given):
        return None
    if given.is_floating_point() or given.dtype is torch.bool:
        return None
    flat = given.squeeze(1) if given.dim() == 2 and given.shape[1] == 1 else given
    return flat.detach().long() if flat.dim() == 1 else None


def plain_forward(model: nn.Module, inputs: Any) -> Tensor:
    """Run the model as most loops do: ``model(images)``; ``model(**batch)`` where its signature says so."""
    given = mapped(inputs, torch.clone)  # a model may change its input in place
    if isinstance(given, Mapping) and _takes(model, named=list(given)):
        return first_output(model(**given))
    if isinstance(given, (tuple, list)) and _takes(model, number=len(given)):
        return first_output(model(*given))
    return first_output(model(given))


def as_loop(forward: Callable[[nn.Module, Any], Any]) -> Forward:
    """Return how a loop runs its model, on copies of the inputs, as a ``Forward``."""
    return lambda model, inputs: first_output(forward(model, mapped(inputs, torch.clone)))


def first_output(output: object) -> Tensor:
    """Return what a model computes first, as float32. Raises ``TypeError`` if it is not a tensor."""
    found = outputs(output) or [torch.view_as_real(each) for each in tensors(output) if each.is_complex()]
    if not found:
        raise TypeError(f"the output of the model, {type(output).__name__}, holds no floating-point tensor")
    return found[0].float()


def _takes(model: nn.Module, *, number: int = 0, named: list[Any] | None = None) -> bool:
    """Whether ``forward`` takes this many positional arguments, or arguments of these names."""
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return False
    if named is None:
        fits = [each for each in signature.parameters.values() if each.kind <= each.VAR_POSITIONAL]
        if number == 1 and len(fits) >= 1:
            return False  # one argument may be the list itself
        named = []
    arguments = [None] * number
    try:
        signature.bind(*arguments, **{str(name): None for name in named})
    except TypeError:
        return False
    return True
