"""Does the loss fit the outputs and the labels? Its gradient in the first steps tells, for any task."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.facts import loss_kind
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_BARE = fix("remove_output_activation", "pass logits to the loss: it applies softmax or sigmoid itself")
_SHAPES = fix("fix_shapes", "give outputs and labels the same shape, e.g. outputs.squeeze(1)")
_JUDGED: dict[str, tuple[str, str, Remedy]] = {
    "cross_entropy_of_probabilities": (
        "softmax_twice",
        "the outputs are probabilities, and the loss applies softmax to them again",
        _BARE,
    ),
    "bce_of_probabilities": (
        "softmax_twice",
        "the outputs are probabilities, and the loss applies sigmoid to them again",
        _BARE,
    ),
    "mse_of_mean": (
        "wrong_loss",
        "each output is compared with the labels of all examples: outputs (B, 1) and labels (B,) broadcast",
        _SHAPES,
    ),
}


def _has_logits(seen: Observations) -> bool:
    """Whether the graph of the loss shows no sigmoid below another: small logits may all be from 0 to 1."""
    return bool(seen.loss_graphs) and not any(graph.twice for graph in seen.loss_graphs)


def kind_of_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a loss whose gradient shows that it gets something else than it should."""
    kind = loss_kind(seen)
    found = _JUDGED.get(kind)
    if found is None or (kind == "bce_of_probabilities" and _has_logits(seen)):
        return []
    cause, message, remedy = found
    return [warn("kind_of_loss", 1.0, 0.0, message, remedy, cause=cause, confidence=0.95)]
