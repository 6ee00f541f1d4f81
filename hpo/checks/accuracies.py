"""Accuracies as the checks read them: shares in [0, 1], also of loops that report percentages."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hpo.checks.base import note
from hpo.checks.observations import EpochFacts, Observations
from hpo.records import Finding, Remedy

_ABOVE_ONE = 1 + 1e-6
"""Above the rounding errors of a share."""
_REMEDY = Remedy("report accuracies as shares from 0 to 1")


def add_epoch(seen: Observations, epoch: EpochFacts) -> list[Finding]:
    """Add the facts of an epoch; return notes on accuracies that are not shares, each once.

    A value above 1 says that all of this name are percentages, those of earlier epochs, too.
    """
    notes = [
        each
        for name in ("train_accuracy", "val_accuracy")
        if (each := _look(seen, name, getattr(epoch, name))) is not None
    ]
    seen.curve.append(epoch)
    for name, scale in seen.accuracy_scales.items():
        seen.curve[-1] = _scaled(seen.curve[-1], name, scale)
    return notes


def _look(seen: Observations, name: str, value: float) -> Finding | None:
    """Find the unit of an accuracy that is not a share; return a note on it if that was not known."""
    scale = seen.accuracy_scales.get(name, 1.0)
    if not math.isfinite(value) or math.isnan(scale) or -1e-6 <= value * scale <= _ABOVE_ONE:
        return None
    is_percentage = scale == 1 and 1 < value <= 100 * _ABOVE_ONE
    scale = 0.01 if is_percentage else math.nan
    seen.accuracy_scales[name] = scale
    seen.curve = [_scaled(each, name, scale) for each in seen.curve]
    how = f"as a percentage, {value / 100:.4g}" if is_percentage else "by no check"
    message = f"{name} {value:.4g} is not a share from 0 to 1: it is read {how}"
    return note("babysitter", value, 1.0, message, _REMEDY, step=seen.steps)


def _scaled(epoch: EpochFacts, name: str, scale: float) -> EpochFacts:
    change: dict[str, Any] = {name: getattr(epoch, name) * scale}
    return replace(epoch, **change)
