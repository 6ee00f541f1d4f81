"""Quantities that several rules derive from observations. The rules themselves do not know each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpo.checks.chance import Chance, balanced_chance, constant_loss, largest_share
from hpo.checks.facts import EXCLUSIVE, loss_kind, task
from hpo.checks.observations import EpochFacts, Observations
from hpo.checks.preflight import LabelFacts, Snapshot
from hpo.config.thresholds import Thresholds
from hpo.records import LayerStatistics

USUAL_UPDATE = {"sgd": 6e-4, "adam": 1.5e-2, "adamw": 1.5e-2, "rmsprop": 5e-2, "adagrad": 1.5e-2}
USUAL_UPDATE |= dict.fromkeys(("sparseadam", "adamax", "nadam", "radam"), 1.5e-2)
"""Median over layers of the first step's change over the weights' norm, at a learning rate that trains well.

SGD's first step has no momentum yet; Adam's changes every weight by lr. Measured on the sound programs of
benchmarks/diagnosis.py: 4e-4 to 2e-3 with SGD, 1.1e-2 to 2.2e-2 with Adam and AdamW.
"""
_FALLBACK_UPDATE = 1e-3
_TINY = 0.3
"""Of the weights' usual norm; PyTorch's own initialization has 0.41. Any step is long for tiny weights, which
says little about the learning rate: it is compared with weights of the usual size."""
HEAVY_SMOOTHING = 0.5
"""Label smoothing above which labels are hardly visible; 0.1 is usual (Szegedy et al. 2016)."""
_INDISTINCT = 0.95
_MIN_LAYERS = 3
_MIN_STEPS = 40
"""Fewer prove nothing: sound programs leave chance between steps 20 and 45 (benchmarks/diagnosis.py)."""
_LATEST = 0.9
"""Share of the training after which stopping saves nothing: `learned` judges the result."""
_WINDOW = 0.5
"""Share of the losses so far that the line is fitted to."""
_MEMORIZED = 0.5
_LAST = 20
_POOR = 0.6
"""Share of what is possible below which something unusual in a loop may be what limits it."""
_SLOPE_ERRORS = 2.0
"""Standard errors that are granted to the slope."""
_UNEVEN_SIGMAS = 5.0
"""Of the largest class in a sample of equal classes: 3 in ten million for each class."""


def constant_accuracy(seen: Observations, split: Literal["training", "validation"]) -> float:
    """Return the share of the most frequent class in a split.

    Counted where all labels are known, otherwise estimated from the examples before training, otherwise 1/C.
    """
    setup, facts = seen.setup, seen.preflight
    known = [
        (setup.train_class_counts, facts.labels if facts else None),
        (setup.val_class_counts, facts.val_labels if facts else None),
    ]
    # Splits of one data set have the same classes: the other one tells more than 1/C.
    for counts, sample in known if split == "training" else reversed(known):
        if sum(counts):
            return largest_share(counts, seen.classes)
        # Without a class it may be sorted, or too small.
        if sample is not None and len(sample.counts) >= seen.classes and min(sample.counts) > 0:
            return _estimated_share(sample)
    return 1 / seen.classes


def _estimated_share(sample: LabelFacts) -> float:
    """Return the largest class's share of a sample, or 1/C if equal classes explain it."""
    even, largest = Chance(1 / len(sample.counts), sample.total), max(sample.counts) / sample.total
    return largest if largest > even.limit(_UNEVEN_SIGMAS) else even.accuracy


def val_chance(seen: Observations) -> Chance | None:
    """Return the best constant answer on the validation images; None if their number is unknown."""
    images = seen.val_images or sum(seen.setup.val_class_counts)
    return Chance(constant_accuracy(seen, "validation"), images) if images else None


def balanced_share(seen: Observations, epoch: EpochFacts) -> float:
    """Return an epoch's mean recall of the validation classes above a constant answer's, as a share of what
    is possible; NaN if unknown."""
    chance = balanced_chance(seen.setup.val_class_counts)
    if chance is None or not math.isfinite(epoch.val_balanced_accuracy):
        return math.nan
    return (epoch.val_balanced_accuracy - chance.accuracy) / (1 - chance.accuracy)


def tells_classes(seen: Observations, limits: Thresholds) -> bool:
    """Whether guessing does not explain the mean recall of some epoch: the network tells classes apart.

    Where one class is rare, this may be so at an accuracy below that of naming the others only.
    """
    chance = balanced_chance(seen.setup.val_class_counts)
    known = [each.val_balanced_accuracy for each in seen.curve if math.isfinite(each.val_balanced_accuracy)]
    if chance is None or not known:
        return False
    return chance.standing(max(known), limits.chance_sigmas) == "learned"


def share_above_chance(seen: Observations, epoch: EpochFacts) -> float:
    """Return an epoch's accuracy above the constant answer's as a share of what is possible.

    The largest one of training, of validation, and of the mean recall of the validation classes.
    """
    balanced = balanced_share(seen, epoch)
    return max(
        balanced if math.isfinite(balanced) else -math.inf,
        *(
            (accuracy - constant) / (1 - constant) if constant < 1 else 0.0
            for accuracy, constant in (
                (epoch.train_accuracy, constant_accuracy(seen, "training")),
                (epoch.val_accuracy, constant_accuracy(seen, "validation")),
            )
        ),
    )


def chance_loss(seen: Observations) -> float:
    """Return the training loss (nats) of the best constant answer; ln C if class counts are unknown.

    Also with balanced class weights, under which all classes count the same.
    """
    if seen.setup.settings.get("class_weights") == "balanced":
        return math.log(seen.classes)
    smoothing = float(seen.setup.settings.get("label_smoothing") or 0.0)
    return constant_loss(seen.setup.train_class_counts, seen.classes, smoothing)


def learned_share(seen: Observations) -> float:
    """Return how much of what is possible a classification learned so far, 0 at chance; NaN if unknown.

    By accuracy where it is known, otherwise by how far the last losses are below that of guessing.
    """
    shares = [share_above_chance(seen, epoch) for epoch in seen.known_curve]
    shares += [
        (epoch.val_accuracy - constant) / (1 - constant)
        for constant in [constant_accuracy(seen, "validation")]
        for epoch in seen.curve
        if math.isfinite(epoch.val_accuracy) and constant < 1
    ]
    last = seen.losses[-_LAST:]
    is_entropy = loss_kind(seen) in EXCLUSIVE or task(seen) == "classification"
    if shares or len(last) < _LAST or not is_entropy:
        return max(shares, default=math.nan)
    return 1 - float(last.mean()) / chance_loss(seen)


def is_poor(seen: Observations) -> bool:
    """Whether a classification ended far below what is possible."""
    return seen.ended and seen.classes > 1 and learned_share(seen) < _POOR


def is_outcome_known(seen: Observations) -> bool:
    """Whether ``has_learned`` has numbers to tell from."""
    if seen.classes > 1 and math.isfinite(learned_share(seen)):
        return True
    return seen.labels is not None and math.isfinite(seen.labels.variance)


def fallen_share(seen: Observations) -> float:
    """Return by which share of the first losses the last ones are lower; 0 if unknown."""
    count = max(5, seen.steps // 10)
    if seen.steps < 2 * count or not np.isfinite(seen.losses).all():
        return 0.0
    first, last = float(seen.losses[:count].mean()), float(seen.losses[-count:].mean())
    return (first - last) / abs(first) if first else 0.0


def has_learned(seen: Observations) -> bool:
    """Whether numbers show that most of what is possible was learned."""
    if seen.classes > 1 and learned_share(seen) >= _POOR:
        return True
    variance = seen.labels.variance if seen.labels is not None else math.nan
    last = seen.losses[-_LAST:]
    is_squared = any(audit.kind == "mse" for audit in seen.audits)
    return is_squared and len(last) == _LAST and float(last.mean()) < (1 - _POOR) * variance


def trend(losses: np.ndarray) -> tuple[float, float, float]:
    """Fit a line to ``losses`` (n,); return its final level, its slope per step and the slope's error."""
    count = len(losses)
    steps = np.arange(count) - (count - 1) / 2
    spread = float((steps**2).sum())
    with np.errstate(invalid="ignore", over="ignore"):  # losses that exploded: the result is nan
        slope = float((steps * losses).sum()) / spread
        rest = losses - losses.mean() - slope * steps
        error = math.sqrt(float((rest**2).sum()) / max(1, count - 2) / spread)
        return float(losses.mean() + slope * steps[-1]), slope, error


def median_ratio(snapshot: Snapshot) -> float:
    """Return the median update ratio over layers; NaN if unknown."""
    ratios = [layer.update_ratio for layer in snapshot.layers if math.isfinite(layer.update_ratio)]
    return float(np.median(ratios)) if ratios else math.nan


def update_excess(seen: Observations) -> float | None:
    """Return the first update over its usual size, scaled to the peak learning rate; None if unknown."""
    if not seen.snapshots:
        return _excess_of_sample(seen)
    first = seen.snapshots[0]
    if first.step > 0 or first.lr <= 0:
        return None
    ratios = [layer.update_ratio for layer in first.layers if layer.update_ratio > 0]
    if not ratios or not np.isfinite(ratios).all():
        return None
    usual = USUAL_UPDATE.get(seen.setup.optimizer, _FALLBACK_UPDATE)
    excess = float(np.median(ratios)) * seen.setup.lr / first.lr / usual
    scale = seen.preflight.weight_scale if seen.preflight else math.nan
    return max(excess * scale, 1.0) if excess > 1 and scale < _TINY else excess


def _excess_of_sample(seen: Observations) -> float | None:
    """Return the same from the sample of the weights, where no layers are read."""
    first = next((each for each in seen.updates.motions if each.lr > 0), None)
    if first is None or not 0 < first.ratio < math.inf:
        return None
    usual = USUAL_UPDATE.get(seen.setup.optimizer, _FALLBACK_UPDATE)
    return first.ratio * seen.setup.lr / first.lr / usual


def gradient_ratio(seen: Observations) -> tuple[LayerStatistics, float] | None:
    """Return the first layer, and the gradient of the last over that of the first, each over its weights.

    NaN if no gradient arrives at all, infinity if none arrives at the first layer; None if unknown.
    """
    known = [(layer, _relative_gradient(layer)) for layer in seen.latest.layers] if seen.latest else []
    known = [(layer, ratio) for layer, ratio in known if math.isfinite(ratio)]
    if len(known) < _MIN_LAYERS:
        return None
    (first, low), (_, high) = known[0], known[-1]
    if low == 0:
        return first, math.nan if high == 0 else math.inf
    return first, high / low


def _relative_gradient(layer: LayerStatistics) -> float:
    return layer.gradient_norm / layer.weight_norm if layer.weight_norm else math.nan


def loss_at_chance(seen: Observations, limits: Thresholds) -> float | None:
    """Return the loss of a training that is at chance after ``patience``, and not leaving it; else None.

    A training that has not left chance is distinguished from a slow one by a line through its latest losses.
    """
    total, steps = seen.setup.total_steps, seen.steps
    if total is None or not max(_MIN_STEPS, limits.patience * total) <= steps <= _LATEST * total:
        return None
    chance = chance_loss(seen)
    level, slope, error = trend(seen.losses[-int(_WINDOW * steps) :])
    margin = chance_margin(seen, limits)
    if not level > chance - margin:
        return None
    # The most that the loss can still fall at the steepest slope that the data allow. Where gradients vanish
    # there is no such doubt: a loss that comes down to chance from above will stay there.
    fall = max(0.0, _SLOPE_ERRORS * error - slope) * (total - steps)
    if level - fall < chance - 2 * margin and not (level > chance and _is_blocked(seen, limits)):
        return None
    return level


def chance_margin(seen: Observations, limits: Thresholds) -> float:
    """Return ``limits.chance_margin``, smaller where the labels have less to learn than C equal classes."""
    return limits.chance_margin * chance_loss(seen) / math.log(seen.classes)


def _is_blocked(seen: Observations, limits: Thresholds) -> bool:
    """Whether gradients vanish on the way and twenty examples could not be memorized either."""
    memorized = seen.preflight.memorization if seen.preflight else None
    if memorized is None or not memorized.accuracy < _MEMORIZED:
        return False
    found = gradient_ratio(seen)
    return found is not None and not found[1] <= limits.gradient_ratio


def label_smoothing(seen: Observations) -> float:
    """Return the label smoothing that the configuration states or that the loss function was seen to have."""
    stated = float(seen.setup.settings.get("label_smoothing") or 0.0)
    probe, classes = seen.preflight.loss_probe if seen.preflight else None, seen.classes
    if stated > 0 or probe is None or abs(probe.even - math.log(classes)) > 0.1:
        return stated
    found = 1 - (probe.wrong - probe.right) / 20
    # With a logit of 20, smoothing by s costs a right answer 20 s (1 - 1/C); near 1, labels may be others'.
    fits = abs(probe.right - 20 * found * (1 - 1 / classes)) < 1
    return found if fits and found < _INDISTINCT else 0.0


@dataclass(frozen=True)
class Setting:
    """A setting that regularizes: its value, the largest usual one, its effect, and what to set instead."""

    value: float
    most: float
    effect: str
    instead: Mapping[str, object]
    cause: str = "over_regularized"


def excessive_setting(seen: Observations) -> Setting | None:
    """Return the first setting that regularizes far more than is usual, if any."""
    strength = float(seen.setup.settings.get("augmentation_strength") or 0.0)
    settings = (
        Setting(seen.setup.dropout, 0.75, "dropout {:g} drops most of each layer", {"dropout": 0.2}),
        Setting(
            label_smoothing(seen),
            HEAVY_SMOOTHING,
            "label smoothing {:.2f} hides the labels",
            {"label_smoothing": 0.1},
        ),
        Setting(
            strength,
            2.0,
            "augmentation_strength {:g} leaves little of an image",
            {"augmentation_strength": 1.0, "augmentation": "flip_crop"},
            "augmentation",
        ),
    )
    return next((each for each in settings if each.value > each.most), None)
