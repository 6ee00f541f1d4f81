"""Does an example keep its label from epoch to epoch?"""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LEAST = 30
_SHARE = 0.3
_REPEATED = 0.02
"""Equal examples within an epoch: with more, different examples have equal inputs and other labels."""


def changed_labels(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the labels of the same examples; policies and generators may have new targets each time."""
    batches = seen.data.batches if seen.data else None
    if batches is None or not batches.repeated < _REPEATED:
        return []
    if batches.reseen < _LEAST or batches.relabeled < _SHARE * batches.reseen:
        return []
    message = f"examples that came again had another label in {batches.relabeled} of {batches.reseen} cases"
    remedy = fix(
        "fix_labels", "do not change targets in place (clone them first), and shuffle them with their inputs"
    )
    make = warn if Fact.SUPERVISED in facts(seen) else note
    return [
        make(
            "changed_labels",
            batches.relabeled / batches.reseen,
            _SHARE,
            message,
            remedy,
            step=seen.steps,
            cause="labels_do_not_match",
            confidence=0.9,
        )
    ]
