"""Can a linear model on thumbnails predict the labels, in training as well as in validation?

It needs no network: what it finds in one split but not in the other was lost between the files and the loop.
Source of the idea: Alain & Bengio 2017, Understanding intermediate layers using linear classifier probes.
"""

from __future__ import annotations

from hpo.checks.base import note, passed
from hpo.checks.derived import chance_limit
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_GUESSING = 2.5
"""Standard errors above guessing below which nothing was found."""


def label_signal(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare both splits and the transfer between them; a note, since only linear structure is visible."""
    assert seen.preflight is not None
    signal, classes = seen.preflight.signal, seen.setup.classes
    if signal is None:
        return []
    nothing, something = (
        chance_limit(classes, signal.examples, sigmas) for sigmas in (_GUESSING, limits.chance_sigmas)
    )
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
