"""Are there so few training examples that the network remembers them?"""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_FEW = 500
_PASSES = 5
"""Times that each was seen."""
_GAP = 0.25
_RATIO = 4.0
"""Validation loss over training loss."""
_BAD = 0.5
"""Validation loss over that of a constant answer: below it, most was learned."""
_LAST = 20


def few_examples(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare training with validation where a few hundred examples came again and again."""
    batches = seen.data.batches if seen.data and seen.ended else None
    if batches is None or batches.rows > _FEW:
        return []
    if not batches.distinct > 1 and (batches.unused or not batches.given):
        return []  # `same_batch` judges one that is not all of the data
    if batches.reseen < (_PASSES - 1) * batches.rows:
        return []
    value, threshold, what = _gap(seen)
    if not value > threshold:
        return []
    message = f"{counted(batches.rows, 'training example')} came again and again, and {what}"
    remedy = Remedy("use more training examples, augmentation, a smaller network, or stop earlier")
    return [
        warn(
            "few_examples",
            value,
            threshold,
            message,
            remedy,
            step=seen.steps,
            cause="overfitting",
            confidence=0.7,
        )
    ]


def _gap(seen: Observations) -> tuple[float, float, str]:
    """Return by how much validation is worse, the limit, and what it means; NaN if unknown."""
    assert seen.data is not None
    found, nothing = seen.data.dependence, (math.nan, 0.0, "")
    if not seen.curve:
        return nothing
    last, total = seen.curve[-1], sum(found.counts)
    if total and math.isfinite(last.val_accuracy):
        hits = sum(n * r for n, r in zip(found.counts, found.recalls, strict=True) if n)
        train = hits / total
        what = f"{train:.0%} of them are predicted right, but {last.val_accuracy:.0%} in validation"
        return train - last.val_accuracy, _GAP, what
    recent = float(seen.losses[-_LAST:].mean()) if seen.steps >= _LAST else math.nan
    first = float(seen.losses[:_LAST].mean()) if seen.steps >= _LAST else math.nan
    if 0 < recent < first / _RATIO and last.val_loss > _BAD * found.constant_loss:
        what = f"they cost {recent:.3g}, but {last.val_loss:.3g} in validation"
        return last.val_loss / recent, _RATIO, what
    return nothing
