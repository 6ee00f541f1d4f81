"""Is so much forbidden that nothing can be learned? Dropout, smoothing, augmentation, shrinking weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_SHRUNK = 0.2
_INDISTINCT = 0.95
HEAVY_SMOOTHING = 0.5
"""Label smoothing from which on labels are hardly to be seen; 0.1 is usual (Szegedy et al. 2016)."""


@dataclass(frozen=True)
class _Setting:
    """A setting, the most that is usual, what more of it does, and what to set instead."""

    value: float
    most: float
    does: str
    instead: Mapping[str, object]
    cause: str = "over_regularized"


def heavy_regularization(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Settings far beyond what is usual; they support a verdict, and are none."""
    strength = float(seen.setup.settings.get("augmentation_strength") or 0.0)
    settings = (
        _Setting(seen.setup.dropout, 0.75, "dropout {:g} drops most of each layer", {"dropout": 0.2}),
        _Setting(
            smoothing(seen),
            HEAVY_SMOOTHING,
            "label smoothing {:.2f} hides the labels",
            {"label_smoothing": 0.1},
        ),
        _Setting(
            strength,
            2.0,
            "augmentation_strength {:g} leaves little of an image",
            {"augmentation_strength": 1.0, "augmentation": "flip_crop"},
            "augmentation",
        ),
    )
    heavy = next((each for each in settings if each.value > each.most), None)
    if heavy is None:
        return []
    message = heavy.does.format(heavy.value)
    return [_note("heavy_regularization", heavy.value, heavy.most, message, heavy.instead, heavy.cause)]


def shrinking_weights(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The median over layers of the weights' norm, now over at first: decay wins against the loss."""
    if len(seen.snapshots) < 2:
        return []
    first, last = seen.snapshots[0].layers, seen.snapshots[-1].layers
    ratios = [
        now.weight_norm / then.weight_norm
        for then, now in zip(first, last, strict=False)
        if then.weight_norm > 0 and math.isfinite(now.weight_norm)
    ]
    if not ratios or np.median(ratios) >= _SHRUNK:
        return []
    shrunk = float(np.median(ratios))
    message = f"the weights have shrunk to {shrunk:.1%} of their size by step {seen.snapshots[-1].step}"
    change = {"weight_decay": 5e-4, "l1": 0.0, "max_norm": None}
    return [
        _note(
            "shrinking_weights", shrunk, _SHRUNK, message, change, "over_regularized", seen.snapshots[-1].step
        )
    ]


def smoothing(seen: Observations) -> float:
    """The label smoothing that the loss function was seen to have, or that the configuration says."""
    said = float(seen.setup.settings.get("label_smoothing") or 0.0)
    probe, classes = seen.preflight.loss_probe if seen.preflight else None, seen.setup.classes
    if said > 0 or probe is None or abs(probe.even - math.log(classes)) > 0.1:
        return said
    found = 1 - (probe.wrong - probe.right) / 20
    # With a logit of 20, smoothing by s costs a right answer 20 s (1 - 1/C); near 1, labels may be others'.
    fits = abs(probe.right - 20 * found * (1 - 1 / classes)) < 1
    return found if fits and found < _INDISTINCT else 0.0


def _note(
    check: str,
    value: float,
    threshold: float,
    message: str,
    change: Mapping[str, object],
    cause: str,
    step: int = 0,
) -> Finding:
    words = ", ".join(f"{name}: {new if new is not None else 'none'}" for name, new in change.items())
    remedy = Remedy(f"use {words}", change)
    return Finding(check, "note", value, threshold, message, remedy, step=step, cause=cause, confidence=0.75)
