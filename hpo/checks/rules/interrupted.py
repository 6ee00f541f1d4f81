"""Did the loop end inside of a step? PyTorch's errors are precise, but do not say what to change."""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_SCALAR = fix("use_mean_reduction", "make the loss one number before backward(), e.g. loss.mean()")
_KNOWN: tuple[tuple[str, str, Remedy], ...] = (
    ("implicitly created only for scalar outputs", "wrong_loss", _SCALAR),
    (
        "through the graph a second time",
        "error",
        Remedy("detach what is carried from one step to the next, such as hidden states and sums of losses"),
    ),
    (
        "does not require grad",
        "detached",
        fix("reattach", "compute the loss from the outputs, without detach(), .data, numpy or no_grad"),
    ),
    ("target", "bad_labels", fix("fix_labels", "number the classes from 0 to C - 1")),
    (
        "modified by an inplace operation",
        "error",
        Remedy("write x = x + y in place of x += y where x is needed for the gradient"),
    ),
    (
        "out of memory",
        "out_of_memory",
        Remedy("use smaller batches, or keep loss.item() in place of losses from step to step"),
    ),
)
"""A part of an error's text, its cause, and what to change."""
_STEP = fix("call_step", "call zero_grad, backward and step, in this order")
_OUT_OF_BOUNDS = "out of bounds"
_MANY = 20
"""Reported losses, which show that the loop went on."""
_LOOK = Remedy("read the error: the loss must be one number, computed from the outputs, with labels that fit")


def interrupted(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the error that ended the loop, or that it ended between a forward pass and its step."""
    if seen.error:
        return [_ended_by_error(seen)]
    total = seen.setup.total_steps
    if not seen.is_interrupted or seen.curve or (total is not None and seen.steps >= total):
        return []
    if seen.steps >= _MANY and not seen.optimizer_steps:
        message = (
            f"{counted(seen.steps, 'loss was', 'losses were')} reported, but the optimizer never stepped"
        )
        return [warn("interrupted", seen.steps, 0.0, message, _STEP, cause="no_update", confidence=0.6)]
    message = f"the loop ended after {counted(seen.steps, 'step')}, between a forward pass and its step"
    if seen.reduction == "none":
        message += "; the loss function does not reduce, and backward() needs one number"
        return [warn("interrupted", seen.steps, 0.0, message, _SCALAR, cause="wrong_loss", confidence=0.85)]
    return [warn("interrupted", seen.steps, 0.0, message, _LOOK, cause="error", confidence=0.6)]


def _ended_by_error(seen: Observations) -> Finding:
    """Return a warning for an error of PyTorch; another may be meant, as the one that prunes a trial."""
    text = seen.error.lower()
    message = f"the loop ended after {counted(seen.steps, 'step')} with {seen.error}"
    for part, cause, remedy in _KNOWN:
        if part in text and (part != "target" or _OUT_OF_BOUNDS in text):
            return warn("interrupted", seen.steps, 0.0, message, remedy, cause=cause, confidence=0.9)
    return note("interrupted", seen.steps, 0.0, message, cause="error", confidence=0.6)
