"""Is validation run as validation: in evaluation mode, and without recording gradients?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted


def validation_mode(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge the passes between the last step of each epoch and the report of its validation numbers."""
    epochs = seen.data.validations if seen.data else []
    if not epochs:
        return []
    if all(each.in_training_mode == each.passes for each in epochs):
        message = (
            f"the validation of {counted(len(epochs), 'epoch')} ran in training mode: dropout and "
            "normalization worked as in training"
        )
        remedy = fix("call_eval", "call model.eval() before validation and model.train() after it")
        return [_warn(float(epochs[-1].passes), message, remedy, seen.steps, 0.9)]
    if all(each.with_gradients == each.passes for each in epochs):
        message = (
            f"the validation of {counted(len(epochs), 'epoch')} recorded gradients that nothing used: the "
            "graphs take memory and time"
        )
        remedy = fix("no_grad", "run validation under torch.no_grad()")
        return [_warn(float(epochs[-1].with_gradients), message, remedy, seen.steps, 0.6)]
    return []


def _warn(value: float, message: str, remedy: Remedy, step: int, confidence: float) -> Finding:
    return warn(
        "validation_mode",
        value,
        0.0,
        message,
        remedy,
        step=step,
        cause="validation_mode",
        confidence=confidence,
    )
