"""Is regularization so strong that nothing can be learned? Dropout, smoothing, augmentation, weight decay."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from hpo.checks.base import note, warn
from hpo.checks.derived import excessive_setting, fallen_share, has_learned, is_poor
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_COUPLED = ("adam", "sgd", "rmsprop", "nadam", "radam", "adagrad", "adadelta", "adamax", "asgd")
_OUTWEIGHS = 0.5
"""Weight decay that is part of the gradient; 1e-2 is much."""
_SHRUNK, _NOTHING = 0.2, 1e-3
_LONG = 0.3
"""Change of the weights in a step over their norm."""
_LEAST_STEPS, _FALLS = 20, 0.05
_ALMOST_ALL = 0.9
"""Of a layer's units: networks that drop so many learn little."""


def heavy_regularization(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a setting far above what is usual; a note, which supports a verdict but is none."""
    heavy = excessive_setting(seen)
    if heavy is None:
        return []
    message, remedy = heavy.effect.format(heavy.value), _use(seen, heavy.instead)
    is_harmful = seen.ended and _is_dropped(seen, heavy.value) and not has_learned(seen)
    make = warn if is_harmful and Fact.OWN_LOOP in facts(seen) else note
    return [
        make(
            "heavy_regularization",
            heavy.value,
            heavy.most,
            message,
            remedy,
            cause=heavy.cause,
            confidence=0.75,
        )
    ]


def heavy_decay(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end, a weight decay in the gradient that outweighs any loss, if nothing was learned."""
    decay, optimizer = seen.setup.weight_decay, seen.setup.optimizer
    if optimizer not in _COUPLED or decay < _OUTWEIGHS or not seen.ended or has_learned(seen):
        return []
    message = f"weight_decay {decay:g} adds {decay:g} x the weights to the gradient of {optimizer}"
    remedy = Remedy("lower weight_decay", {"weight_decay": 5e-4})
    return [
        warn(
            "heavy_decay",
            decay,
            _OUTWEIGHS,
            message,
            remedy,
            step=seen.steps,
            cause="over_regularized",
            confidence=0.8,
        )
    ]


def _is_dropped(seen: Observations, value: float) -> bool:
    return value == seen.setup.dropout > _ALMOST_ALL


def shrinking_weights(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the weights' norm with the first one, in the median of the layers: decay beats the loss."""
    if len(seen.snapshots) < 2:
        return []
    first, last = seen.snapshots[0].layers, seen.snapshots[-1].layers
    ratios = [
        now.weight_norm / then.weight_norm
        for then, now in zip(first, last, strict=False)
        if then.weight_norm > 0 and math.isfinite(now.weight_norm)
    ]
    shrunk, step = statistics.median(ratios) if ratios else 1.0, seen.snapshots[-1].step
    if shrunk >= _SHRUNK:
        return []
    return [
        note(
            "shrinking_weights",
            shrunk,
            _SHRUNK,
            f"the weights have shrunk to {shrunk:.1%} of their size by step {step}",
            _use(seen, {"weight_decay": 5e-4, "l1": 0.0, "max_norm": None}),
            step=step,
            cause="over_regularized",
            confidence=0.75,
        )
    ]


def decayed_weights(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report weights that decay has shrunk to a small part of their size while the loss did not fall.

    Without weight decay, something else holds almost all weights near 0.
    """
    shrunk = seen.updates.shrunk
    if not shrunk < _SHRUNK or seen.optimizer_steps < _LEAST_STEPS or not seen.steps:
        return []
    if not seen.setup.weight_decay and not shrunk < _NOTHING:
        return []
    if seen.setup.weight_decay and (_is_wild(seen) or (fallen_share(seen) > _FALLS and not is_poor(seen))):
        return []
    message = f"the weights have shrunk to {shrunk:.1g} of their size"
    if not seen.setup.weight_decay:
        remedy = Remedy("see what sets the weights: a limit on them may be far too small")
        return [_shrunk(shrunk, message, remedy, "vanishing_gradients")]
    message += f" with weight_decay {seen.setup.weight_decay:g}, and hardly anything was learned"
    remedy = Remedy("set weight_decay to 5e-4 or less", {"weight_decay": 5e-4})
    return [_shrunk(shrunk, message, remedy, "over_regularized")]


def _is_wild(seen: Observations) -> bool:
    """Whether gradients, not decay, made a step about as long as the weights."""
    steps = [
        each.ratio for each in seen.updates.motions if each.lr * seen.setup.weight_decay < each.ratio / 2
    ]
    return any(ratio > _LONG for ratio in steps)


def _shrunk(shrunk: float, message: str, remedy: Remedy, cause: str) -> Finding:
    return warn("decayed_weights", shrunk, _SHRUNK, message, remedy, cause=cause, confidence=0.8)


def _use(seen: Observations, wanted: Mapping[str, object]) -> Remedy:
    change = seen.setup.would_change(wanted)
    values = ", ".join(f"{name}: {new if new is not None else 'none'}" for name, new in change.items())
    return Remedy(f"use {values}" if values else "regularize less", change)
