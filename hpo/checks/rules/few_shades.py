"""Do images hold information? If nearly all pixels are at an end of the range, they show almost nothing."""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_MOST = 0.9
"""81 % of the pixels of handwritten digits (MNIST) are 0; in CIFAR-10 it is at most 2 %."""


def few_shades(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the share of pixels at the lowest or the highest value."""
    assert seen.preflight is not None
    share = seen.preflight.images.clipped_share
    if share <= _MOST or seen.preflight.images.std == 0:
        return []
    return [
        note(
            "few_shades",
            share,
            _MOST,
            f"{share:.1%} of all pixels have the same extreme value, as in scaled bytes cast to integers",
            fix("scale_input", "scale images as floating point numbers"),
            cause="input_scale",
            confidence=0.8,
        )
    ]
