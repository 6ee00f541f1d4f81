"""Does the optimizer use the gradient that backward produced? Anything in between may only shorten it.

Clipping and unscaling keep the direction. Entries that have become exactly 0 were lost by a low-precision
format (Micikevicius et al. 2018, Mixed precision training: half of the gradient entries of one network were
too small for fp16).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix, use
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_LOST = 0.5
_ALL = 0.999
"""Where all of it is gone, `no_update` reports it."""
_TURNED = 0.3
"""Cosine below which it is a different gradient."""
_CUT = 0.02
"""Share of its length; clipping at 1 leaves at least 0.1 of usual gradients."""


def used_gradient(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Check lost entries, direction and length, each as the median of the audited steps."""
    lost = _median(audit.lost for audit in seen.audits)
    cosine = _median(audit.gradient_cosine for audit in seen.audits)
    if math.isnan(cosine) or lost > _ALL:
        return []
    if lost > _LOST:
        message = f"{lost:.0%} of the gradient's entries had become 0 when the optimizer used it"
        remedy = fix("scale_loss", "scale the loss before backward, or keep gradients in bf16 or fp32")
        return [
            warn("used_gradient", lost, _LOST, message, remedy, cause="vanishing_gradients", confidence=0.8)
        ]
    if cosine < _TURNED:
        message = f"the gradient that the optimizer uses has a cosine of {cosine:.2f} with that of backward"
        if float(seen.setup.settings.get("l1") or 0.0) > 0:
            remedy = Remedy("lower l1", {"l1": 0.0})
            return [
                note(
                    "used_gradient",
                    cosine,
                    _TURNED,
                    message,
                    remedy,
                    cause="over_regularized",
                    confidence=0.65,
                )
            ]
        remedy = Remedy("check what changes gradients between backward and step")
        return [
            note("used_gradient", cosine, _TURNED, message, remedy, cause="wrong_gradient", confidence=0.5)
        ]
    # If the loss itself is scaled, as for fp16, the gradient has to be scaled back.
    length = _median(audit.gradient_scale * _enlarged(audit.scale) for audit in seen.audits)
    if length < _CUT and seen.setup.optimizer == "sgd":
        message = f"gradients are clipped to {length:.1e} of their length after backward"
        remedy = use(
            seen, "set gradient_clip to 1 or remove it", {"gradient_clip": 1.0}, "remove gradient_clip"
        )
        return [note("used_gradient", length, _CUT, message, remedy, cause="schedule", confidence=0.8)]
    return []


def _enlarged(scale: float) -> float:
    return 1.0 if math.isnan(scale) else max(1.0, abs(scale))


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan
