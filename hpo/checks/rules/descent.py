"""Do the first steps go downhill? Compares the change of the weights with the gradient of the step.

Plain gradient descent has a cosine of 1 with the downhill direction. Adam's first step, lr for every weight,
has the mean over the root mean square of the gradient's entries: 0.8 for normal ones (sqrt(2 / pi)).
"""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_UPHILL = -0.2
_ACROSS, _HEAVY = 0.2, 0.1
"""Below this cosine, a weight decay above this makes the step; with less of it, gradients vanish."""


def descent(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report if every audited step goes uphill, unless the loss is to be maximized."""
    signs = [
        (audit, -1 if audit.cosine < -limits.loss_cosine else 1)  # near 0, it is no cross-entropy
        for audit in seen.audits
        if audit.descent == audit.descent
    ]
    if not signs:
        return []
    steepest = max(audit.descent * sign for audit, sign in signs)
    if steepest < _UPHILL:
        message = f"the first steps go uphill (cosine {steepest:.2f} with the downhill direction)"
        remedy = fix("fix_loss_sign", "minimize the loss: remove maximize=True or a negative learning rate")
        return [warn("descent", steepest, _UPHILL, message, remedy, cause="wrong_loss", confidence=0.9)]
    across = max(abs(audit.descent) for audit, _ in signs) < _ACROSS
    if across and seen.setup.weight_decay >= _HEAVY:
        message = "weight decay, not the gradient, makes the first steps"
        remedy = Remedy("lower weight_decay", {"weight_decay": 5e-4})
        return [
            note("descent", steepest, _ACROSS, message, remedy, cause="over_regularized", confidence=0.65)
        ]
    return []
