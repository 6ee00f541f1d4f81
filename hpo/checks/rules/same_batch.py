"""Is it the same batch again and again, although there are more examples?"""

from __future__ import annotations

import math

from hpo.checks.base import note, warn
from hpo.checks.derived import is_poor
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_LEAST_STEPS = 20
_TIMES = 20
"""Steps for each different batch."""
_WORSE = 3.0
"""Validation loss over training loss that shows that one batch is not the data."""


def same_batch(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the batches of the first steps by their values.

    A loop may train on all of its data in every step. It does not if examples of ``before`` are in no batch,
    or if it has several steps per epoch and what it learns does not hold in validation. One batch in several
    steps per epoch is noted in any case.
    """
    batches = seen.data.batches if seen.data else None
    if batches is None or batches.steps < _LEAST_STEPS or batches.distinct * _TIMES > batches.steps:
        return []
    has_more = 0 < batches.unused < batches.given
    is_divided = _divides(seen) and len(seen.curve) > 1
    is_one = batches.distinct == 1 and _divides(seen)
    is_wrong = has_more or (is_divided and _fails(seen))
    if not (is_wrong or is_one):
        return []
    which = (
        "the same batch"
        if batches.distinct == 1
        else f"the same {counted(batches.distinct, 'batch', 'batches')}"
    )
    message = f"{counted(batches.steps, 'step')} used {which}, of {counted(batches.rows, 'example')}"
    if has_more:
        given = counted(batches.given, "example")
        message += f"; {batches.unused} of {given} given before training are in none"
    elif not is_wrong:
        message += "; a memory test is meant to, a training takes other batches"
    remedy = fix("shuffle_batches", "take the next batch of a shuffled loader in each step")
    make = warn if is_wrong and (batches.distinct == 1 or is_poor(seen)) else note
    return [
        make(
            "same_batch",
            float(batches.distinct),
            float(batches.steps // _TIMES),
            message,
            remedy,
            step=seen.steps,
            cause="batch_composition",
            confidence=0.92 if is_wrong else 0.5,
        )
    ]


def _divides(seen: Observations) -> bool:
    """Whether an epoch has several steps: one batch is all data where it has one."""
    return (seen.setup.steps_per_epoch or 0) > 1


def _fails(seen: Observations) -> bool:
    last = seen.curve[-1]
    if math.isfinite(last.val_accuracy) and seen.classes > 1:
        return is_poor(seen)
    recent = float(seen.losses[-_LEAST_STEPS:].mean()) if seen.steps >= _LEAST_STEPS else math.nan
    return recent > 0 and last.val_loss > _WORSE * recent
