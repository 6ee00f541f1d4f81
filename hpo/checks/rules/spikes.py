"""Does the loss jump at single steps? The learning rate is almost too high, or an image is bad."""

from __future__ import annotations

import numpy as np

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_AROUND = 10
"""Preceding steps that a step is compared with."""


def spikes(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the highest jump over the median of the preceding steps, once, at the end."""
    losses = seen.losses
    if not seen.ended or len(losses) < 4 * _AROUND or not np.isfinite(losses).all():
        return []
    windows = np.lib.stride_tricks.sliding_window_view(losses, _AROUND)[:-1]
    ratios = losses[_AROUND:] / np.maximum(np.median(windows, axis=1), 0.1)
    step = int(ratios.argmax()) + _AROUND
    highest = float(ratios.max())
    if highest <= limits.spike_factor:
        return []
    message = f"the loss jumped to {losses[step]:.2f}, {highest:.1f}x the median of the preceding steps"
    return [note("spikes", highest, limits.spike_factor, message, lower_lr(seen), step=step)]
