"""Do the weights move at all?"""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.preflight import Snapshot
from hpo.checks.remedies import fix, use
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_MIN_STEPS = 20
_STEP = fix("call_step", "call zero_grad, backward and step, in this order")
_UNDERFLOW = fix("scale_loss", "gradients underflow: scale the loss before backward, or use bf16 or fp32")


def no_update(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report if losses are reported but no step changes a weight."""
    if seen.steps < _MIN_STEPS:
        return []
    found = _standstill(seen)
    if found is None:
        return []
    message, remedy = found
    return [
        warn("no_update", 0.0, 0.0, message, remedy, step=seen.steps - 1, cause="no_update", confidence=0.95)
    ]


def unchanged_weights(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end of a loop that hpo did not configure, that no weight has changed."""
    if seen.steps < _MIN_STEPS:
        return []
    if not seen.is_unchanged:
        return _idle_optimizers(seen)
    if seen.updates.has_zero_gradients and seen.optimizer_steps:
        return _without_gradient(seen)
    message = f"no weight has changed in {counted(seen.steps, 'step')}"
    return [warn("no_update", 0.0, 0.0, message, _STEP, step=seen.steps, cause="no_update", confidence=0.95)]


def _idle_optimizers(seen: Observations) -> list[Finding]:
    """Report optimizers that never change their parameters while others do, as in a game of two networks."""
    idle = seen.updates.idle_optimizers
    if not idle:
        return []
    message = (
        f"optimizer {idle[0] + 1} of {seen.setup.optimizers} has never changed its parameters, "
        "although they got gradients"
    )
    return [warn("no_update", 0.0, 0.0, message, _STEP, step=seen.steps, cause="no_update", confidence=0.95)]


def _without_gradient(seen: Observations) -> list[Finding]:
    """Report steps that changed nothing since every gradient was exactly 0: the network starts in vain."""
    if seen.updates.has_zero_weights:
        cause, message = (
            "symmetric_units",
            "all weights are 0, and so are all gradients: no step changes them",
        )
        remedy = fix("fix_init", "initialize the weights at random, as the layers of torch.nn do")
    else:
        cause, message = "vanishing_gradients", "all gradients are exactly 0, and no weight has ever changed"
        remedy = _UNDERFLOW
    return [warn("no_update", 0.0, 0.0, message, remedy, step=seen.steps, cause=cause, confidence=0.9)]


def _standstill(seen: Observations) -> tuple[str, Remedy] | None:
    """Return what keeps the weights from changing, and the remedy."""
    if seen.optimizer_steps == 0:
        if Fact.OWN_LOOP in facts(seen) and not seen.is_unchanged:
            return None  # something else updates them: an optimizer inside of this one, or the loop by hand
        return (
            f"{counted(seen.steps, 'loss was', 'losses were')} reported, but optimizer.step() "
            "was never called",
            _STEP,
        )
    out_of_reach = {*seen.setup.frozen, *seen.setup.unoptimized}
    if seen.snapshots and all(f"{each.name}.weight" in out_of_reach for each in seen.snapshots[0].layers):
        return None  # `trained_parameters` reports this
    snapshots = [shot for shot in seen.snapshots if math.isfinite(_largest_ratio(shot))]
    if len(snapshots) < 2:
        return None
    if all(shot.lr == 0 for shot in snapshots):
        return f"the learning rate was 0 in {counted(len(snapshots), 'snapshot')}", use(
            seen,
            "the learning rate is 0: set lr or another schedule",
            {"schedule": "cosine"},
            "the learning rate is 0: set lr",
        )
    if _flows(seen) and not any(map(_has_gradient, snapshots)):
        vanished = all(layer.gradient_norm == 0 for shot in snapshots for layer in shot.layers)
        what = "every gradient was exactly 0" if vanished else "no weight had a gradient"
        message = f"{what} when optimizer.step() was called, in {counted(len(snapshots), 'snapshot')}"
        return message, _UNDERFLOW if vanished else _STEP
    if max(map(_largest_ratio, snapshots)) == 0 and not _is_dead(snapshots):
        return f"no weight has changed in {counted(seen.optimizer_steps, 'step')}", _STEP
    return None


def _largest_ratio(shot: Snapshot) -> float:
    ratios = [layer.update_ratio for layer in shot.layers if math.isfinite(layer.update_ratio)]
    return max(ratios, default=math.nan)


def _is_dead(snapshots: list[Snapshot]) -> bool:
    """Whether gradients are exactly 0 since a whole layer gives the same for every input."""
    no_gradient = all(layer.gradient_norm == 0 for shot in snapshots for layer in shot.layers)
    return no_gradient and all(any(layer.dead == 1 for layer in shot.hidden) for shot in snapshots)


def _flows(seen: Observations) -> bool:
    """Whether backward produced gradients before training."""
    return seen.preflight is not None and _has_gradient(seen.preflight.layers)


def _has_gradient(shot: Snapshot) -> bool:
    return any(layer.gradient_norm > 0 for layer in shot.layers)
