"""Do the first steps go downhill? The change of the weights against the gradient at the step.

Plain gradient descent has a cosine of 1 with the way downhill, Adam's first step, of lr for every weight, of
the mean over the root mean square of the gradient's entries, which is 0.8 for normal ones (sqrt(2 / pi)).
"""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_UPHILL = -0.2
_ACROSS, _HEAVY = 0.2, 0.1
"""From this cosine on down a weight decay from this on up makes the step; less of it, if gradients vanish."""


def descent(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Uphill in every step that was audited, unless the loss is to be made large."""
    signs = [
        (audit, -1 if audit.cosine < 0 else 1) for audit in seen.audits if audit.descent == audit.descent
    ]
    if not signs:
        return []
    steepest = max(audit.descent * sign for audit, sign in signs)
    if steepest < _UPHILL:
        message = f"the first steps go uphill (cosine {steepest:.2f} with the way down)"
        remedy = fix("fix_loss_sign", "minimize: no maximize=True, no negative learning rate")
        return [_found("warn", steepest, _UPHILL, message, remedy, "wrong_loss", 0.9)]
    across = max(abs(audit.descent) for audit, _ in signs) < _ACROSS
    if across and seen.setup.weight_decay >= _HEAVY:
        message = "weight decay, not the gradient, makes the first steps"
        remedy = Remedy("lower weight_decay", {"weight_decay": 5e-4})
        return [_found("note", steepest, _ACROSS, message, remedy, "over_regularized", 0.65)]
    return []


def _found(
    severity: str, value: float, threshold: float, message: str, remedy: Remedy, cause: str, sure: float
) -> Finding:
    return Finding(
        "descent",
        "warn" if severity == "warn" else "note",
        value,
        threshold,
        message,
        remedy,
        cause=cause,
        confidence=sure,
    )
