"""Can labels be told from images at all, and in training as in validation? A linear model on thumbnails says.

It needs no network: what it finds in one split and not in the other was lost between the files and the loop.
Source of the idea: Alain & Bengio 2017, Understanding intermediate layers using linear classifier probes.
"""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.checks.rules.learned import chance_limit
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_GUESSING = 2.5
"""Standard errors above guessing up to which nothing was found."""


def label_signal(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Training, validation, and from one to the other; a note, since what is not linear is not seen."""
    assert seen.preflight is not None
    signal, classes = seen.preflight.signal, seen.setup.classes
    if signal is None:
        return []
    nothing, something = (
        chance_limit(classes, signal.examples, sigmas) for sigmas in (_GUESSING, limits.chance_sigmas)
    )
    numbers = f"{signal.train:.0%} in training, {signal.val:.0%} in validation, {signal.transfer:.0%} across"
    if signal.val > something > signal.train and min(signal.train, signal.transfer) < nothing:
        remedy = fix("fix_labels", "look at training images, as they are fed, beside their labels")
        message = f"a linear model tells labels in validation, and not in training ({numbers})"
        return [_note(signal.train, nothing, message, remedy, "labels_do_not_match")]
    if signal.train > something and min(signal.val, signal.transfer) < nothing:
        remedy = fix("same_normalization", "prepare validation images and labels as those of training")
        message = f"what a linear model learns in training is wrong in validation ({numbers})"
        return [_note(signal.transfer, nothing, message, remedy, "train_val_mismatch")]
    message = f"a linear model tells labels: {numbers}"
    return [Finding("label_signal", "pass", signal.transfer, nothing, message)]


def _note(value: float, threshold: float, message: str, remedy: Remedy, cause: str) -> Finding:
    return Finding("label_signal", "note", value, threshold, message, remedy, cause=cause, confidence=0.65)
