"""Does the network get the same input for every example? Then it can only learn a constant answer."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_FEWEST = 20
"""Steps, and examples that came again."""


def constant_inputs(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end, batches of labeled examples whose inputs are all equal."""
    batches = seen.data.batches if seen.data and seen.ended else None
    if batches is None or batches.rows != 1 or batches.steps < _FEWEST or batches.reseen < _FEWEST:
        return []
    if not batches.relabeled:
        return []  # a single example, as in tests of a loop
    message = f"all examples of {counted(batches.steps, 'step')} have the same input, and different labels"
    remedy = fix("use_input", "inspect what the model gets: all of it may have become padding or unknown")
    return [warn("constant_inputs", 1.0, 1.0, message, remedy, cause="ignores_input", confidence=0.95)]
