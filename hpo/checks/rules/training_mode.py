"""Is the network in training mode while it is trained? Often it is not after the first validation."""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.derived import is_poor
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import listed


def training_mode(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report passes with gradients while normalization or dropout were in evaluation mode.

    Layers that are kept there while the network is in training mode are common in fine-tuning: a warning only
    if hpo configured the training, or if it ended far below what is possible.
    """
    wrong = next((each for each in seen.forwards if each.learning and each.eval_norms), None)
    if wrong is None:
        return []
    count = len(wrong.eval_norms)
    subject, verb = ("module", "is") if count == 1 else ("modules", "are")
    when = "from the start" if wrong.step == 0 else f"from step {wrong.step} on"
    message = f"{subject} {listed(wrong.eval_norms, 2)} {verb} in evaluation mode during training, {when}"
    remedy = fix("call_train", "call model.train() before the steps of each epoch")
    if wrong.training_mode and Fact.CONFIGURATION not in facts(seen) and not is_poor(seen):
        message = f"{message}: is this meant, as in fine-tuning?"
        return [note("training_mode", float(count), 0.0, message, remedy, step=wrong.step, cause="eval_mode")]
    return [
        warn(
            "training_mode",
            float(count),
            0.0,
            message,
            remedy,
            step=wrong.step,
            cause="eval_mode",
            confidence=0.9,
        )
    ]
