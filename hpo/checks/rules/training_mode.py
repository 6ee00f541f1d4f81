"""Is the network in training mode while it is trained? Often it is not after the first validation."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def training_mode(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report passes with gradients while normalization or dropout were in evaluation mode."""
    wrong = next((each for each in seen.forwards if each.learning and each.eval_norms), None)
    if wrong is None:
        return []
    names = ", ".join(wrong.eval_norms[:2])
    when = "from the start" if wrong.step == 0 else f"from step {wrong.step} on"
    return [
        warn(
            "training_mode",
            float(len(wrong.eval_norms)),
            0.0,
            f"{names} in evaluation mode during training, {when}",
            fix("call_train", "call model.train() before the steps of each epoch"),
            step=wrong.step,
            cause="eval_mode",
            confidence=0.9,
        )
    ]
