"""What autograd recorded between the parameters and a loss. Measured in ``hpo.checks.measure.loss_graph``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LossTerm:
    """A part of the sum that a loss is."""

    kind: str
    """What it is: ``mse``, ``nll``, ``square``, ``log_softmax`` ...; ``other`` if unknown."""
    sign: int
    """1, or -1 if minus signs turn it around."""
    is_altered: bool
    """Whether something without a gradient, whose sign is unknown, multiplies it or is added to it."""


@dataclass(frozen=True)
class Normalization:
    """A softmax or log_softmax: of a tensor of this ``shape``, along ``dim`` >= 0."""

    dim: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class LossFacts:
    """The graph of a loss in one step."""

    step: int
    terms: tuple[LossTerm, ...] = ()
    """Without repetitions."""
    twice: str = ""
    """The normalization that the loss applies to outputs which went through one: ``softmax``, ``sigmoid``."""
    missing_log: str = ""
    """What the likelihood is given in place of log-probabilities: ``probabilities``, ``logits``."""
    wrong_axis: Normalization | None = None
    """Log-probabilities along an axis that is not that of the classes."""
    broadcast: tuple[tuple[int, ...], ...] = ()
    """The shape of outputs, and the shape to which the loss broadcast them over the batch."""
    far_is_likely: bool = False
    """Whether the classes of a likelihood get distances as logits: the farthest is the likeliest."""
    normalizations: tuple[Normalization, ...] = ()
    """Every softmax of the network and the loss, without repetitions."""

    def kinds(self) -> frozenset[str]:
        """Return the kinds of the terms."""
        return frozenset(term.kind for term in self.terms)
