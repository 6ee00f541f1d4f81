"""Does the loss fall at all, or does it stay at ln C, the loss of guessing?"""

from __future__ import annotations

import math

from hpo.checks.base import fatal
from hpo.checks.derived import loss_at_chance
from hpo.checks.observations import Observations
from hpo.checks.remedies import sound_start
from hpo.config.thresholds import Thresholds
from hpo.counting import counted
from hpo.records import Finding


def not_learning(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Stop a training whose loss, after ``patience``, is at chance without a trend away from it."""
    level = loss_at_chance(seen, limits)
    if level is None:
        return []
    chance = math.log(seen.setup.classes)
    message = (
        f"after {seen.steps} of {counted(seen.setup.total_steps or seen.steps, 'step')} the loss is "
        f"{level:.3f}, no better than "
        f"guessing (ln {seen.setup.classes} = {chance:.3f}), and is not falling"
    )
    return [
        fatal(
            "not_learning",
            level,
            chance - limits.chance_margin,
            message,
            sound_start(seen),
            step=seen.steps - 1,
            cause="not_learning",
            confidence=0.4,
        )
    ]
