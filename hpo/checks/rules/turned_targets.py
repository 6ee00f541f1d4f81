"""Are masks flipped or transposed against their pictures, as when only one of both was augmented?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.measure.geometry import TURNS
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_CLEAR = 0.2
"""Correlation of targets with pictures after the turn that fits best."""
_LESS = 0.4
"""Share of it that they have as they are; objects in the middle, or symmetric ones, have all of it."""


def turned_targets(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report targets (n, H, W) that belong to their pictures only once they are turned."""
    found = seen.data.agreements if seen.data else ()
    if not found or max(found) < _CLEAR or found[0] > _LESS * max(found):
        return []
    turn = TURNS[found.index(max(found))]
    message = (
        f"targets match their pictures only if they are {turn}: a correlation of {max(found):.2f}, "
        f"against {found[0]:.2f} as they are"
    )
    remedy = fix("fix_labels", "flip, crop and transpose pictures and their targets together")
    return [
        warn(
            "turned_targets",
            found[0],
            _LESS * max(found),
            message,
            remedy,
            cause="labels_do_not_match",
            confidence=0.9,
        )
    ]
