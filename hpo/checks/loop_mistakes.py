"""Mistakes in the loop that only show while it runs: its modes, stale gradients, batches of one class."""

from __future__ import annotations

import math
import statistics

from hpo.checks.base import Finding
from hpo.checks.observations import Observations
from hpo.checks.remedies import Remedy, fix
from hpo.spec.thresholds import Thresholds


def training_mode(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Passes that gradients were recorded in while layers were in evaluation mode."""
    wrong = next(
        (fed for fed in seen.fed if fed.learning and (fed.eval_norms or not fed.training_mode)), None
    )
    if wrong is None or not (wrong.eval_norms or seen.setup.dropout):
        return []
    names = ", ".join(wrong.eval_norms[:2]) or "the model"
    when = "from the start" if wrong.step == 0 else f"from step {wrong.step} on"
    message = f"{names} is in evaluation mode while the network is trained, {when}"
    remedy = fix("call_train", "call model.train() before each epoch's steps")
    return [_warn("training_mode", 1.0, 0.0, message, remedy, "eval_mode", wrong.step, 0.9)]


def stale_gradients(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Gradients of the step before that are still there when backward begins."""
    stale = [fed.stale_gradient for fed in seen.fed if math.isfinite(fed.stale_gradient)]
    if not stale or min(stale) <= limits.stale_gradient:
        return []
    message = "gradients of earlier steps are still there when backward begins: they pile up"
    remedy = fix("call_zero_grad", "call optimizer.zero_grad() before each backward")
    return [
        _warn("stale_gradients", stale[0], limits.stale_gradient, message, remedy, "stale_gradients", 1, 0.95)
    ]


def batch_composition(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Batches with fewer classes than shuffled ones have."""
    if len(seen.batch_classes) < 5:
        return []
    typical = statistics.median(seen.batch_classes)
    expected = float(seen.setup.classes)
    if typical > limits.batch_class_share * expected or expected < 3:
        return []
    message = f"half of the first {len(seen.batch_classes)} batches have {typical:g} of {expected:g} classes or fewer"
    remedy = fix("shuffle_batches", "shuffle the training images anew in each epoch")
    limit = limits.batch_class_share * expected
    return [
        _warn(
            "batch_composition",
            typical,
            limit,
            message,
            remedy,
            "batch_composition",
            len(seen.batch_classes),
            0.9,
        )
    ]


def _warn(
    check: str,
    value: float,
    threshold: float,
    message: str,
    remedy: Remedy,
    cause: str,
    step: int,
    sure: float,
) -> Finding:
    return Finding(
        check,
        "warn",
        value,
        threshold,
        message,
        remedy.text,
        step=step,
        cause=cause,
        confidence=sure,
        change=remedy.change,
    )
