"""Is the network in training mode while it is trained? Often it is not, from the first validation on."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def training_mode(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Passes with gradients while normalization or dropout were in evaluation mode."""
    wrong = next((fed for fed in seen.fed if fed.learning and fed.eval_norms), None)
    if wrong is None:
        return []
    names = ", ".join(wrong.eval_norms[:2])
    when = "from the start" if wrong.step == 0 else f"from step {wrong.step} on"
    return [
        Finding(
            "training_mode",
            "warn",
            float(len(wrong.eval_norms)),
            0.0,
            f"{names} in evaluation mode while the network is trained, {when}",
            fix("call_train", "call model.train() before each epoch's steps"),
            step=wrong.step,
            cause="eval_mode",
            confidence=0.9,
        )
    ]
