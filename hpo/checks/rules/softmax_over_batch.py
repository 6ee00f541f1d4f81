"""Does each example get its own answer? After a softmax over the batch it depends on the others."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.loss_facts import Normalization
from hpo.checks.observations import Observations, StepAudit
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_AXIS = fix("remove_output_activation", "apply softmax along the axis of the classes or places, dim=1 or -1")


def softmax_over_batch(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a softmax along the examples, in every step whose graph was read."""
    if not seen.loss_graphs or not seen.audits:
        return []
    audit = seen.audits[0]
    found = [
        next((each for each in graph.normalizations if _is_over_batch(each, audit)), None)
        for graph in seen.loss_graphs
    ]
    if not found or any(each is None for each in found) or found[0] is None:
        return []
    message = f"softmax runs along axis 0 of {found[0].shape}, over the examples of the batch"
    return [warn("softmax_over_batch", 1.0, 0.0, message, _AXIS, cause="softmax_twice", confidence=0.9)]


def _is_over_batch(found: Normalization, audit: StepAudit) -> bool:
    """Whether axis 0 of a softmax is that of the examples.

    Not if a second axis of the inputs and outputs has its size, too: sequences may come first. A square is
    a matrix of similarities.
    """
    shape, given, made = found.shape, audit.input, audit.output
    if found.dim != 0 or len(shape) < 2 or not given or not made or shape[0] == shape[1] or shape[1] == 1:
        return False
    is_sequence = len(given) > 1 and len(made) > 2 and shape[1] == given[1] == made[1]
    return shape[0] == given[0] == made[0] and not is_sequence
