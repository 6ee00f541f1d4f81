"""Is evaluation mode what it should be: the same answer every time, whatever else is in the batch?"""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def evaluation(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Evaluate the same images twice, and alone."""
    assert seen.preflight is not None
    noise, effect = seen.preflight.eval_noise, seen.preflight.eval_batch_effect
    remedy = fix(
        "call_train", "dropout must follow model.training, and normalization keep running statistics"
    )
    for value, message in (
        (noise, "two evaluations of the same images differ: something is random in evaluation mode"),
        (effect, "an image's outputs depend on what else is in its batch in evaluation mode"),
    ):
        if value > limits.eval_difference:
            return [
                Finding(
                    "evaluation",
                    "warn",
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
    return [
        Finding("evaluation", "pass", noise, limits.eval_difference, "evaluation gives the same answer twice")
    ]
