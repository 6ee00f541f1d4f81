"""Can a linear model on thumbnails predict the labels, in training as well as in validation?

It needs no network: what it finds in one split but not in the other was lost between the files and the loop.
Source of the idea: Alain & Bengio 2017, Understanding intermediate layers using linear classifier probes.
"""

from __future__ import annotations

from hpo.checks.base import note, passed
from hpo.checks.chance import Chance
from hpo.checks.derived import constant_accuracy
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_GUESSING = 2.5
"""As ``chance_sigmas``: up to this limit nothing was found."""


def label_signal(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare both splits and the transfer between them; a note, since only linear structure is visible."""
    assert seen.preflight is not None
    signal = seen.preflight.signal
    if signal is None:
        return []
    chance = Chance(constant_accuracy(seen, "validation"), signal.examples)
    nothing, something = map(chance.limit, (_GUESSING, limits.chance_sigmas))
    numbers = f"{signal.train:.0%} in training, {signal.val:.0%} in validation, {signal.transfer:.0%} across"
    if signal.val > something > signal.train and min(signal.train, signal.transfer) < nothing:
        remedy = fix("fix_labels", "inspect training images, as they are fed, with their labels")
        message = f"a linear model predicts labels in validation but not in training ({numbers})"
        return [_note(signal.train, nothing, message, remedy, "labels_do_not_match")]
    if signal.train > something and min(signal.val, signal.transfer) < nothing:
        remedy = fix("same_normalization", "prepare validation images and labels like those of training")
        message = f"what a linear model learns in training does not hold in validation ({numbers})"
        return [_note(signal.transfer, nothing, message, remedy, "train_val_mismatch")]
    message = f"a linear model predicts labels: {numbers}"
    return [passed("label_signal", signal.transfer, nothing, message)]


def _note(value: float, threshold: float, message: str, remedy: Remedy, cause: str) -> Finding:
    return note("label_signal", value, threshold, message, remedy, cause=cause, confidence=0.65)
