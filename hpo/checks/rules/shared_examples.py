"""Are validation examples among the training examples? Then validation does not tell what was learned."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_SHARE = 0.05
_FEWEST = 5
_LEAST_EXAMPLES = 20
_BY_CHANCE = 5.0
"""Data that repeat within training repeat in validation: this many times as often is no accident."""


def shared_examples(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare validation with training examples; a loop whose data are one batch may predict parts of it."""
    if seen.data is None or seen.data.batches.distinct == 1 < seen.data.batches.steps:
        return []
    found = seen.data.overlap
    if found.examples < _LEAST_EXAMPLES or not found.repeated < _SHARE:
        return []
    limit = max(_SHARE, _BY_CHANCE * found.repeated)
    for number, what, confidence in ((found.shared, "", 0.9), (found.near, "almost ", 0.75)):
        if number >= _FEWEST and number / found.examples > limit:
            of = counted(found.examples, "validation example")
            message = f"{number} of {of} are {what}equal to training examples"
            remedy = fix(
                "split_data", "split the data before anything else, and keep copies of an example together"
            )
            return [
                warn(
                    "shared_examples",
                    number / found.examples,
                    limit,
                    message,
                    remedy,
                    step=seen.steps,
                    cause="validation_leak",
                    confidence=confidence,
                )
            ]
    return []
