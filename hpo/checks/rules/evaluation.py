"""Is evaluation deterministic and independent of the rest of the batch?"""

from __future__ import annotations

import math

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def evaluation(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare two evaluations of the same images, and a batch with its halves."""
    assert seen.preflight is not None
    noise, effect = seen.preflight.eval_noise, seen.preflight.eval_batch_effect
    remedy = fix(
        "call_train", "make dropout follow model.training, and let normalization keep running statistics"
    )
    for value, message in (
        (noise, "two evaluations of the same examples differ: evaluation mode is not deterministic"),
        (effect, "in evaluation mode the outputs of an example depend on the rest of its batch"),
    ):
        if value > limits.eval_difference:
            return [
                warn(
                    "evaluation",
                    value,
                    limits.eval_difference,
                    message,
                    remedy,
                    cause="eval_mode",
                    confidence=0.6,
                )
            ]
    if math.isnan(noise) or math.isnan(effect):
        return []
    return [passed("evaluation", noise, limits.eval_difference, "evaluation is repeatable")]
