"""Is every gradient cut down to next to nothing? A tiny ``gradient_clip`` is a tiny learning rate."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_TINY = 1e-3
"""Global norms of gradients of the bundled networks start between 0.1 and 10."""


def clipping(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The limit that the configuration sets."""
    limit = seen.setup.settings.get("gradient_clip")
    if limit is None or limit >= _TINY or seen.setup.optimizer != "sgd":
        return []
    return [
        Finding(
            "clipping",
            "note",
            float(limit),
            _TINY,
            f"gradients are cut down to a norm of {limit:.1e}",
            Remedy("set gradient_clip to 1 or leave it empty", {"gradient_clip": 1.0}),
            cause="schedule",
            confidence=0.8,
        )
    ]
