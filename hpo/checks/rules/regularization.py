"""Is regularization so strong that nothing can be learned? Dropout, smoothing, augmentation, weight decay."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from hpo.checks.base import note
from hpo.checks.derived import excessive_setting
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_SHRUNK = 0.2


def heavy_regularization(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a setting far above what is usual; a note, which supports a verdict but is none."""
    heavy = excessive_setting(seen)
    if heavy is None:
        return []
    message, remedy = heavy.effect.format(heavy.value), _use(seen, heavy.instead)
    return [
        note(
            "heavy_regularization",
            heavy.value,
            heavy.most,
            message,
            remedy,
            cause=heavy.cause,
            confidence=0.75,
        )
    ]


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


def _use(seen: Observations, wanted: Mapping[str, object]) -> Remedy:
    change = seen.setup.would_change(wanted)
    values = ", ".join(f"{name}: {new if new is not None else 'none'}" for name, new in change.items())
    return Remedy(f"use {values}" if values else "regularize less", change)
