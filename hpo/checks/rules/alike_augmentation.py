"""Are consecutive batches augmented alike, as by workers with the same random numbers?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_CLEAR = 8.0
"""Standard deviations; sound programs have less than 3."""


def alike_augmentation(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report examples at the same place of consecutive batches that have something in common."""
    alike = seen.data.batches.alike if seen.data else 0.0
    if not alike > _CLEAR:
        return []
    message = (
        "examples at the same place of consecutive batches are alike "
        f"({alike:.0f} standard deviations): workers use the same random numbers"
    )
    remedy = fix("seed_workers", "seed each worker's generators with torch.initial_seed() in worker_init_fn")
    return [
        warn(
            "alike_augmentation",
            alike,
            _CLEAR,
            message,
            remedy,
            step=seen.steps,
            cause="augmentation",
            confidence=0.75,
        )
    ]
