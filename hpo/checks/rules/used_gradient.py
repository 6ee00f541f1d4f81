"""Is the gradient that the optimizer uses the one that backward gave? What lies between may only shorten it.

Clipping and unscaling keep the direction. Entries that have become exactly 0 are those that a coarse number
format lost (Micikevicius et al. 2018, Mixed precision training: half of the gradients' entries of one network
were too small for fp16).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy, Severity

_LOST = 0.5
_ALL = 0.999
"""Where all of it is gone, `no_update` says so."""
_TURNED = 0.3
"""Cosine below which it is another gradient."""
_CUT = 0.02
"""Of its length; clipping at 1 leaves 0.1 and more of usual gradients."""


def used_gradient(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Lost entries, another direction, another length; the median of the steps that were audited."""
    lost = _median(audit.lost for audit in seen.audits)
    cosine = _median(audit.gradient_cosine for audit in seen.audits)
    if math.isnan(cosine) or lost > _ALL:
        return []
    if lost > _LOST:
        message = f"{lost:.0%} of the gradient's entries had become 0 when the optimizer used it"
        remedy = fix("scale_loss", "scale the loss before backward, or keep gradients in bf16 or fp32")
        return [_found("warn", lost, _LOST, message, remedy, "vanishing_gradients", 0.8)]
    if cosine < _TURNED:
        message = f"the optimizer's gradient has a cosine of {cosine:.2f} with the one that backward gave"
        if float(seen.setup.settings.get("l1") or 0.0) > 0:
            remedy = Remedy("lower l1", {"l1": 0.0})
            return [_found("note", cosine, _TURNED, message, remedy, "over_regularized", 0.65)]
        remedy = Remedy("look at what changes gradients between backward and step")
        return [_found("note", cosine, _TURNED, message, remedy, "wrong_gradient", 0.5)]
    # Where the loss itself is scaled, as for fp16, the gradient is to be scaled back.
    length = _median(audit.gradient_scale * _enlarged(audit.scale) for audit in seen.audits)
    if length < _CUT and seen.setup.optimizer == "sgd":
        message = f"gradients are cut down to {length:.1e} of what backward gives"
        remedy = Remedy("set gradient_clip to 1 or leave it empty", {"gradient_clip": 1.0})
        return [_found("note", length, _CUT, message, remedy, "schedule", 0.8)]
    return []


def _enlarged(scale: float) -> float:
    return 1.0 if math.isnan(scale) else max(1.0, abs(scale))


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _found(
    severity: Severity, value: float, threshold: float, message: str, remedy: Remedy, cause: str, sure: float
) -> Finding:
    return Finding("used_gradient", severity, value, threshold, message, remedy, cause=cause, confidence=sure)
