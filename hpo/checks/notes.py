"""What a babysitter notes about its own work."""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.causes import UNSEEN
from hpo.checks.measure.preflight import FEWEST_EXAMPLES
from hpo.records import Finding, Remedy
from hpo.text import counted


def resumed_in_part() -> Finding:
    """Return the note on a training whose first measurements are missing from its checkpoint."""
    message = (
        "the training was resumed from a checkpoint without what had been measured of its data and its first "
        "weights: the checks of these are left out"
    )
    return note("babysitter", 0.0, 0.0, message, Remedy("train from the start for these checks, too"))


def too_few_examples(examples: int) -> Finding:
    """Return the note on ``before`` with fewer than ``FEWEST_EXAMPLES``."""
    message = (
        f"the checks before training got {counted(examples, 'example')} and need at least "
        f"{FEWEST_EXAMPLES}: they and the statistics of layers are left out"
    )
    remedy = Remedy("pass a few dozen to hundreds of training examples to before()")
    return note("examples", examples, FEWEST_EXAMPLES, message, remedy)


def unseen(optimizer_steps: int, advice: str) -> Finding:
    """Return the note on a training whose losses were never told; ``advice`` says how to tell them."""
    seen = f"{counted(optimizer_steps, 'step')} but no loss" if optimizer_steps else "no step and no loss"
    return note(UNSEEN, optimizer_steps, 1.0, f"babysit saw {seen}", Remedy(advice), step=optimizer_steps)
