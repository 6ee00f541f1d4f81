"""Is the loss computed as its parts expect? The graph that autograd recorded tells, for any task."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.loss_facts import LossFacts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_BARE = fix("remove_output_activation", "pass logits to the loss: it applies softmax or sigmoid itself")
_CROSS_ENTROPY = fix(
    "use_cross_entropy", "use cross_entropy(logits, labels), or nll_loss of log_softmax(logits, 1)"
)
_SHAPES = fix("fix_shapes", "give outputs and labels the same shape, e.g. outputs.squeeze(1)")
_NEAREST = fix("fix_loss_sign", "give the softmax negative distances: the nearest should be the likeliest")
_Flaw = tuple[str, str, Remedy, float]
"""Cause, message, remedy, confidence."""


def loss_graph(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a flaw that every loss has whose graph was read."""
    flaws = [_flaw(each) for each in seen.loss_graphs]
    found = flaws[0] if flaws else None
    if found is None or any(each is None or each[0] != found[0] for each in flaws):
        return []
    cause, message, remedy, confidence = found
    return [warn("loss_graph", 1.0, 0.0, message, remedy, cause=cause, confidence=confidence)]


def _flaw(graph: LossFacts) -> _Flaw | None:
    if graph.twice:
        message = f"the outputs went through {graph.twice}, and the loss normalizes them again"
        return "softmax_twice", message, _BARE, 0.95
    if graph.missing_log:
        message = f"the likelihood is computed of {graph.missing_log}, where it takes log-probabilities"
        return "wrong_loss", message, _CROSS_ENTROPY, 0.95
    if graph.wrong_axis is not None:
        axis, shape = graph.wrong_axis.dim, graph.wrong_axis.shape
        message = f"log_softmax runs along axis {axis} of {shape}, which is not that of the classes"
        return "wrong_loss", message, _CROSS_ENTROPY, 0.95
    if graph.far_is_likely:
        message = "the likelihood's softmax is of distances: the farthest class is the likeliest"
        return "wrong_loss", message, _NEAREST, 0.9
    if graph.broadcast:
        before, after = graph.broadcast
        message = f"each output is compared with the labels of all examples: {before} broadcasts to {after}"
        return "wrong_loss", message, _SHAPES, 0.95
    return None
