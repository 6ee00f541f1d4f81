"""What is seen of the path from the loss to the weights over a whole training, whatever is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """The largest learning rate of all optimizers, from ``step`` on."""

    step: int
    lr: float


@dataclass(frozen=True)
class Motion:
    """The change of the weights in one step over their norm, as the median of a sample of the weights."""

    step: int
    lr: float
    ratio: float


@dataclass(frozen=True)
class Updates:
    """How gradients became changes of weights; the fields after ``motions`` are known at the end."""

    rates: tuple[Rate, ...] = ()
    """One for each change of the learning rate, thinned out evenly if there are many."""
    motions: tuple[Motion, ...] = ()
    """Of the first steps."""
    moved: float = float("nan")
    """Distance of the weights from their first values over the norm of these, as the median of a sample."""
    idle_optimizers: tuple[int, ...] = ()
    """Optimizers, by number, whose parameters got gradients but never changed, though those of others did."""
    has_zero_gradients: bool = False
    """Whether every gradient that was looked at was exactly 0."""
    has_zero_weights: bool = False
    """Whether all weights of the optimizers are exactly 0."""
    unregistered: tuple[str, ...] = ()
    """Tensors that the model holds and that got gradients, but that are not among its parameters."""
    kept_graphs: int = 0
    """Of the graphs of some early losses, those that still existed much later; 0 unless all did."""
    carried_from: int = -1
    """The step whose graph a later forward pass used; -1 if none did."""
    alike: tuple[str, ...] = ()
    """Trained weights (dim >= 2) all of whose units are equal at the end."""
    without_gradient: tuple[str, ...] = ()
    """Weights that never changed, with gradients of exactly 0 in the first steps, though others moved."""
    frozen_as_drawn: tuple[str, ...] = ()
    """Frozen weights that nothing but PyTorch's own initialization has drawn; empty if others are trained."""
    has_trained_weights: bool = True
    """Whether the optimizers have weights (dim >= 2), not only biases."""
    shrunk: float = float("nan")
    """Norm of the weights at the end over that of their first values, as the median of a sample."""
