"""Does the loss fall at all, or does it stay at the loss of guessing: ln C for equal classes?"""

from __future__ import annotations

import math

from hpo.checks.base import fatal
from hpo.checks.derived import chance_loss, chance_margin, loss_at_chance
from hpo.checks.observations import Observations
from hpo.checks.remedies import sound_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted


def not_learning(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Stop a training whose loss, after ``patience``, is at chance without a trend away from it."""
    level = loss_at_chance(seen, limits)
    if level is None:
        return []
    chance, classes = chance_loss(seen), seen.setup.classes
    is_even = math.isclose(chance, math.log(classes), abs_tol=5e-4)
    what = f"ln {classes}" if is_even else "the entropy of the labels"
    message = (
        f"after {seen.steps} of {counted(seen.setup.total_steps or seen.steps, 'step')} the loss "
        f"is {level:.3f}, "
        f"no better than "
        f"guessing ({what} = {chance:.3f}), and is not falling"
    )
    return [
        fatal(
            "not_learning",
            level,
            chance - chance_margin(seen, limits),
            message,
            sound_start(seen),
            step=seen.steps - 1,
            cause="not_learning",
            confidence=0.4,
        )
    ]
