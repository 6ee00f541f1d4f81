"""How far did the weights move, in the first steps and in all? For losses of any kind and in any unit.

Sound programs of benchmarks/loops.py move their weights by 0.3 to 4 times their size in 60 to 600 steps, and
by at most 0.4 times in one of the first steps.
"""

from __future__ import annotations

import math
import statistics

import numpy as np

from hpo.checks.base import warn
from hpo.checks.derived import fallen_share, learned_share
from hpo.checks.facts import Fact, facts, task
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr, two_digits, written_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_FEWEST = 20
_LITTLE, _ALMOST_NOTHING = 0.02, 1e-3
"""Shares of their size by which weights hardly moved; the second where the loss need not fall."""
_FALLEN = 0.05
_CLIPPED, _TINY = 1e-3, 1e-6
"""Lengths that gradients keep; the second where weights moved all the same."""
_USUAL_RATE = 1e-3
"""SGD at this rate moves weights if there are gradients; optimizers that scale gradients move by the rate."""
_PLAIN = ("sgd", "asgd", "rprop", "lbfgs")
_ENOUGH, _LARGEST_CHANGE = 0.5, 1e4
_LARGE, _HUGE = 0.6, 3.0
"""Changes in one step over the size of the weights; the second where the loss does not tell the damage."""
_EARLY_STEPS, _RISEN, _GOOD = 20, 2.0, 0.6


def hardly_moved(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report weights that ended almost where they began, though nothing shows that they were good there."""
    moved, steps, falls = seen.updates.moved, seen.optimizer_steps, Fact.LOSS_FALLS in facts(seen)
    if not _is_of_first_order(seen):
        return []
    if _is_clipped_away(seen):
        return [_clipped(seen, moved, _LITTLE, f"the loss did not fall in {counted(steps, 'step')}")]
    least = _LITTLE if falls else _ALMOST_NOTHING
    if steps < _FEWEST or not moved < least or seen.is_unchanged or _is_good(seen):
        return []
    if moved > _ALMOST_NOTHING and fallen_share(seen) > _FALLEN:
        return []
    message = f"the weights moved by only {moved:.1e} of their size in {counted(steps, 'step')}"
    if _kept_length(seen) < _CLIPPED:
        return [_clipped(seen, moved, least, message)]
    if moved == 0:
        return []  # by design, of most weights, in gradual unfreezing
    if seen.setup.optimizer in _PLAIN and seen.setup.lr >= _USUAL_RATE:
        if moved > _ALMOST_NOTHING:
            return []
        message = f"{message} at a learning rate of {seen.setup.lr:.3g}: the gradients are tiny"
        remedy = Remedy("check the scale of inputs, of initial weights and of the loss")
        return [_found("hardly_moved", moved, least, message, remedy, "vanishing_gradients", 0.6)]
    if not seen.setup.optimizers:
        remedy = Remedy("raise the rate of the updates, or see what makes their gradients so small")
        return [_found("hardly_moved", moved, least, message, remedy, "lr_too_low", 0.7)]
    lr = two_digits(written_lr(seen) * min(_ENOUGH / moved, _LARGEST_CHANGE))
    remedy = Remedy(f"raise lr to about {lr:g} (it was {written_lr(seen):.3g})", {"lr": lr})
    return [_found("hardly_moved", moved, least, message, remedy, "lr_too_low", 0.8)]


def _kept_length(seen: Observations) -> float:
    """Return the share of their length that gradients keep until the step, in the median of the first."""
    kept = [audit.gradient_scale for audit in seen.audits if math.isfinite(audit.gradient_scale)]
    return statistics.median(kept) if kept else 1.0


def _is_clipped_away(seen: Observations) -> bool:
    """Whether only momentum and weight decay are left to move the weights, and the loss did not fall."""
    is_game = seen.setup.optimizers > 1 or task(seen) == "reinforcement"
    is_long = seen.optimizer_steps >= _FEWEST and not seen.is_unchanged
    return is_long and not is_game and _kept_length(seen) < _TINY and fallen_share(seen) < _FALLEN


def _clipped(seen: Observations, moved: float, least: float, outcome: str) -> Finding:
    message = f"gradients are clipped to {_kept_length(seen):.1e} of their length, and {outcome}"
    remedy = Remedy("set gradient_clip to 1 or remove it", {"gradient_clip": 1.0})
    return _found("hardly_moved", moved, least, message, remedy, "schedule", 0.85)


def wild_start(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a first step about as long as the weights themselves that damaged the network."""
    known = [each for each in seen.updates.motions if not math.isnan(each.ratio)]
    largest = max(known, key=lambda each: each.ratio, default=None)
    if not _is_of_first_order(seen):
        return []
    if largest is None or seen.optimizer_steps < _FEWEST or largest.ratio < _LARGE or _is_good(seen):
        return []
    if largest.lr * seen.setup.weight_decay > _LARGE * largest.ratio:
        return _of_decay(seen, largest.ratio)
    has_no_use = fallen_share(seen) < _FALLEN if Fact.LOSS_FALLS in facts(seen) else largest.ratio > _HUGE
    if not has_no_use and not _has_risen(seen):
        return []
    message = f"a step changed the weights by {largest.ratio:.2g}x their size, at step {largest.step}"
    remedy = lower_lr(seen) if seen.setup.optimizers else Remedy("lower the rate of the updates")
    return [_found("wild_start", largest.ratio, _LARGE, message, remedy, "lr_too_high", 0.85)]


def _of_decay(seen: Observations, ratio: float) -> list[Finding]:
    message = f"weight decay changes the weights by {ratio:.1g}x their size in a step"
    remedy = Remedy("lower weight_decay", {"weight_decay": 5e-4})
    return [_found("wild_start", ratio, _LARGE, message, remedy, "over_regularized", 0.85)]


def _has_risen(seen: Observations) -> bool:
    """Whether one of the early losses is far above the first, or not a number."""
    early = seen.losses[:_EARLY_STEPS]
    if not len(early) or not np.isfinite(early).all():
        return True
    return bool(early[0] > 0 and early.max() > _RISEN * early[0])


def _is_of_first_order(seen: Observations) -> bool:
    """Whether one gradient makes one step, of an optimizer or by hand."""
    return not seen.setup.optimizers or Fact.FIRST_ORDER in facts(seen)


def _is_good(seen: Observations) -> bool:
    return Fact.CLASSIFICATION in facts(seen) and learned_share(seen) > _GOOD


def _found(
    check: str, value: float, threshold: float, message: str, remedy: Remedy, cause: str, confidence: float
) -> Finding:
    return warn(check, value, threshold, message, remedy, cause=cause, confidence=confidence)
