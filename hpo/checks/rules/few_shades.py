"""Is there anything to see? Images with nearly all pixels at an end of the range show next to nothing."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_MOST = 0.9
"""Of handwritten digits (MNIST) 81 % of the pixels are 0, of CIFAR-10 at most 2 %."""


def few_shades(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The share of pixels that have the lowest, or the highest, value of all; a note."""
    assert seen.preflight is not None
    share = seen.preflight.images.at_end
    if share <= _MOST or seen.preflight.images.std == 0:
        return []
    return [
        Finding(
            "few_shades",
            "note",
            share,
            _MOST,
            f"{share:.1%} of all pixels have the same extreme value, as scaled bytes cut to integers have",
            fix("scale_input", "scale images as floating point numbers"),
            cause="input_scale",
            confidence=0.8,
        )
    ]
