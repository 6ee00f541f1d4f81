"""Is validation far better than training although nothing makes training harder? Then labels are wrong."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LEAD = 0.1
_LOSSES = 0.2
_HARDER = {
    "dropout": 0.5,
    "label_smoothing": 0.2,
    "augmentation_strength": 1.5,
    "rotation": 15.0,
    "zoom": 0.3,
    "color_jitter": 0.5,
    "grayscale": 0.3,
    "erasing": 0.3,
    "mixup": 0.0,
    "cutmix": 0.0,
}
"""Settings above which training is harder than validation anyway."""


def label_noise(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare an epoch's training accuracy with the validation accuracy just before it."""
    curve, settings = seen.known_curve, seen.setup.settings
    if len(curve) < 2 or seen.setup.dropout > _HARDER["dropout"]:
        return []
    if settings.get("auto_augment", "none") != "none":
        return []
    if "balanced" in (settings.get("sampling"), settings.get("class_weights")):
        return []  # rare classes, which are harder, count more in training than in validation
    if any((settings.get(name) or 0) > most for name, most in _HARDER.items()):
        return []
    before, last = curve[-2], curve[-1]
    lead = before.val_accuracy - last.train_accuracy
    if not (lead > _LEAD and last.train_loss - before.val_loss > _LOSSES):
        return []
    return [
        warn(
            "label_noise",
            lead,
            _LEAD,
            f"training accuracy {last.train_accuracy:.3f} stays far below validation accuracy "
            f"{before.val_accuracy:.3f}: some training labels are wrong, or inputs damaged",
            fix("fix_labels", "inspect training inputs, as they are fed, with their labels"),
            step=last.step,
            cause="labels_do_not_match",
            confidence=0.7,
        )
    ]
