"""Do networks that are trained against each other want different things?"""

from __future__ import annotations

import statistics

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALIKE = 0.3
"""Distance of the gradients over the larger one: 2 for opposite ones, 1 if one of them is 0."""
_TARGETS = fix(
    "fix_labels",
    "give the generator's loss the target of real examples, or the opposite sign",
)


def opponents(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a generator whose loss wants the answers that the discriminator's loss wants."""
    if not seen.opponents or statistics.median(seen.opponents) > _ALIKE:
        return []
    message = "the losses of two opponents ask for the same answers: one has the wrong target or sign"
    value = statistics.median(seen.opponents)
    return [warn("opponents", value, _ALIKE, message, _TARGETS, cause="wrong_loss", confidence=0.9)]
