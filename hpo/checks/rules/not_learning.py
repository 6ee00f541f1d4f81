"""Does the loss fall at all, or does it stay at the loss of guessing: ln C for equal classes?"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import fatal, warn
from hpo.checks.derived import chance_loss, chance_margin, loss_at_chance
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import sound_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted, fixed

_LAST = 20
_LEAST_STEPS = 60
_PATIENT = 0.5
"""Share of a training that hpo did not configure after which it may be stopped: plateaus may come first."""


def not_learning(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Stop a training whose loss, after ``patience``, is at chance without a trend away from it."""
    level = loss_at_chance(seen, limits)
    if level is None or (Fact.CONFIGURATION not in facts(seen) and not seen.progress >= _PATIENT):
        return []
    chance, classes = chance_loss(seen), seen.classes
    is_even = math.isclose(chance, math.log(classes), abs_tol=5e-4)
    what = f"ln {classes}" if is_even else "the entropy of the labels"
    message = (
        f"after {seen.steps} of {counted(seen.setup.total_steps or seen.steps, 'step')} the loss "
        f"is {fixed(level, 3)}, "
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


def ended_at_chance(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge the last losses where no validation accuracy tells what was learned."""
    last = seen.losses[-_LAST:]
    if any(math.isfinite(each) for each in seen.accuracies()) or seen.steps < _LEAST_STEPS:
        return []
    chance, level = chance_loss(seen), float(np.mean(last))
    if not level >= chance - chance_margin(seen, limits):
        return []
    message = (
        f"the last {_LAST} losses are {fixed(level, 3)} on average, no better than guessing ({chance:.3f})"
    )
    return [
        warn(
            "ended_at_chance",
            level,
            chance,
            message,
            sound_start(seen),
            step=seen.steps,
            cause="not_learning",
            confidence=0.4,
        )
    ]
