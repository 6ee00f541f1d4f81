"""Does the loss allow several labels per example where examples have several?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.facts import loss_kind
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_SEVERAL = 0.3
"""Share of the examples with none or several labels."""
_EXCLUSIVE = ("cross_entropy", "nll")
_EACH = fix(
    "use_binary_cross_entropy", "use binary_cross_entropy_with_logits, which asks for each label by itself"
)


def several_labels(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a softmax, which shares 1 between the labels, where examples have none or several of them."""
    several = seen.data.dependence.several if seen.data and seen.ended else 0.0
    if not several > _SEVERAL or not (loss_kind(seen) in _EXCLUSIVE or _is_shared(seen)):
        return []
    message = f"{several:.0%} of the examples have none or several labels, but a softmax lets one of them win"
    cause = "softmax_twice" if _is_shared(seen) else "wrong_loss"
    return [warn("several_labels", several, _SEVERAL, message, _EACH, cause=cause, confidence=0.85)]


def _is_shared(seen: Observations) -> bool:
    """Whether a binary cross-entropy gets the results of a softmax over its outputs."""
    shapes = [
        (each.shape, each.dim)
        for graph in seen.loss_graphs
        if graph.kinds() == {"bce"}
        for each in graph.normalizations
    ]
    return bool(seen.output) and (seen.output, len(seen.output) - 1) in shapes
