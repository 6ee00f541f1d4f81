"""Does the loss pull outputs toward their labels? Compares its gradient with that of cross-entropy.

Any loss must pull an untrained network toward the right class: squared error, hinge, smoothed and weighted
losses all have a cosine of at least 0.7 with (softmax - one-hot) / B there, centered over classes.
"""

from __future__ import annotations

import statistics

from hpo.checks.base import warn
from hpo.checks.derived import HEAVY_SMOOTHING, label_smoothing
from hpo.checks.observations import Observations, StepAudit
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_IDLE = 0.5
_LEAD = -0.02
"""Nats below the mean loss of the batch: the loss uses the easy examples; hard mining uses hard ones."""
_SIGN = fix("fix_loss_sign", "minimize the cross-entropy: right answers must cost less than wrong ones")
_CROSS_ENTROPY = fix("use_cross_entropy", "use cross_entropy(logits, labels) with the labels of this batch")


def loss_gradient(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the gradients of the first steps; known where the loop passes the labels of its batches."""
    known = [audit for audit in seen.audits if audit.cosine == audit.cosine]
    if not known or label_smoothing(seen) > HEAVY_SMOOTHING:
        return []
    highest = max(audit.cosine for audit in known)
    found = _judge(known, highest, limits.loss_cosine, seen.setup.maximizes)
    if found is None:
        return []
    message, remedy = found
    return [
        warn(
            "loss_gradient",
            highest,
            limits.loss_cosine,
            message,
            remedy,
            step=known[-1].step,
            cause="wrong_loss",
            confidence=0.9,
        )
    ]


def _judge(
    known: list[StepAudit], highest: float, limit: float, maximizes: bool
) -> tuple[str, Remedy] | None:
    if highest < -limit:
        message = f"the loss pushes outputs away from their labels (cosine {highest:.2f} with cross-entropy)"
        return None if maximizes else (message, _SIGN)
    idle = statistics.median(audit.idle for audit in known)
    if idle > _IDLE and max(audit.lead for audit in known) < _LEAD:
        message = f"{idle:.0%} of each batch gets no gradient, and the rest are the easiest examples"
        return message, _CROSS_ENTROPY
    if max(abs(audit.cosine) for audit in known) < limit:
        message = (
            f"the loss does not pull outputs toward the labels of their batch (cosine {highest:.2f} with "
            "cross-entropy)"
        )
        return message, _CROSS_ENTROPY
    return None
