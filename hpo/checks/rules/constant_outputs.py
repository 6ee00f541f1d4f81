"""Does the trained network give the same output for every example?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_VARIES = 0.03
"""Deviation between examples over the size of outputs; sound programs end with 0.2 and more."""
_NOTHING = 3.0
"""Standard deviations above independence of labels and outputs."""
_OUTPUTS = 100
_MOVED = 0.03


def constant_outputs(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge, at the end, outputs that hardly vary and tell nothing of the labels, though weights changed."""
    found = seen.data.dependence if seen.data and seen.ended else None
    if found is None or found.last_examples < _OUTPUTS or not found.moved > _MOVED:
        return []
    if not found.spread < _VARIES or found.last_outputs > _NOTHING:
        return []
    message = (
        f"outputs differ by {found.spread:.2g} of their size between examples, and tell nothing of the labels"
    )
    remedy = fix("use_input", "inspect what the model gets, and whether every layer passes it on")
    return [
        warn(
            "constant_outputs",
            found.spread,
            _VARIES,
            message,
            remedy,
            step=seen.steps,
            cause="ignores_input",
            confidence=0.3,
        )
    ]
