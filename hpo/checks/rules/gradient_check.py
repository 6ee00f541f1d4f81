"""Is backward the derivative of forward? A numeric check in float64, for custom backward passes."""

from __future__ import annotations

import math

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy


def gradient_check(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare directional derivatives; measured only by the preset ``full``."""
    assert seen.preflight is not None
    error = seen.preflight.gradient_error
    if error is None or math.isnan(error):
        return []
    if error > limits.gradient_error:
        return [
            warn(
                "gradient_check",
                error,
                limits.gradient_error,
                f"backward differs from a numeric derivative by {error:.0%}",
                Remedy("check the backward pass of custom layers"),
                cause="wrong_gradient",
                confidence=0.85,
            )
        ]
    message = f"backward agrees with a numeric derivative to {error:.1e}"
    return [passed("gradient_check", error, limits.gradient_error, message)]
