"""Did the training learn anything? Compares its best validation accuracy with guessing."""

from __future__ import annotations

import math

from hpo.checks.base import note, passed, warn
from hpo.checks.chance import Chance, balanced_chance
from hpo.checks.derived import constant_accuracy, tells_classes, val_chance
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import EpochFacts, Observations
from hpo.checks.remedies import fix, sound_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_FAR = 4.0
"""Standard deviations below the share of the most frequent class."""
_MOST = 0.5
_CLEARLY, _HARDLY = 0.2, 0.05
"""Shares of what is possible above guessing where the number of validation images is unknown."""


def learned(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the best validation accuracy in [0, 1] with guessing on the same number of images."""
    chance = val_chance(seen)
    epochs = [epoch for epoch in seen.curve if math.isfinite(epoch.val_accuracy)]
    if not epochs:
        return []
    best = max(epochs, key=lambda epoch: epoch.val_accuracy)
    if chance is None:
        return _of_unknown_count(seen, best.val_accuracy)
    standing = chance.standing(best.val_accuracy, limits.chance_sigmas)
    if standing != "learned" and not _is_even(seen, chance) and tells_classes(seen, limits):
        return [_tells_classes(seen, limits)]
    if standing == "at_chance" and _names_rare_classes(seen, chance, best):
        return []
    if standing == "at_chance":
        return [_at_chance(seen, limits, chance, best.val_accuracy, epochs[-1])]
    if standing == "unclear":
        return [_unclear(seen, limits, chance, best.val_accuracy)]
    message = f"reached {best.val_accuracy:.3f}; {_guessing(seen, chance)}"
    return [
        passed("learned", best.val_accuracy, chance.limit(limits.chance_sigmas), message, step=seen.steps)
    ]


def _tells_classes(seen: Observations, limits: Thresholds) -> Finding:
    """Return the pass of a training whose accuracy does not exceed that of its most frequent class."""
    chance = balanced_chance(seen.setup.val_class_counts)
    assert chance is not None  # the classes are told apart
    best = max(each.val_balanced_accuracy for each in seen.curve if math.isfinite(each.val_balanced_accuracy))
    message = f"reached a balanced accuracy of {best:.3f}; guessing gives {chance.accuracy:.3f}"
    return passed("learned", best, chance.limit(limits.chance_sigmas), message, step=seen.steps)


def _names_rare_classes(seen: Observations, chance: Chance, best: EpochFacts) -> bool:
    """Whether it does not only name the most frequent class: then accuracy does not tell what it learned.

    Known only from its accuracy: far below the share of that class.
    """
    spread = math.sqrt(chance.accuracy * (1 - chance.accuracy) / chance.images)
    is_far_below = best.val_accuracy < chance.accuracy - _FAR * max(spread, 1 / chance.images)
    is_ours = Fact.CONFIGURATION in facts(seen)
    names_one = sum(count > 0 for count in best.val_predicted_counts) == 1
    return not is_ours and not names_one and not _is_even(seen, chance) and is_far_below


def _of_unknown_count(seen: Observations, best: float) -> list[Finding]:
    """Judge the best accuracy on a number of images that is unknown: clear cases only."""
    constant = constant_accuracy(seen, "validation")
    share = (best - constant) / (1 - constant) if constant < 1 else 0.0
    if share > _CLEARLY:
        message = f"reached {best:.3f}; guessing gives {constant:.3f}"
        return [passed("learned", best, constant, message, step=seen.steps)]
    if share > _HARDLY:
        return []
    message = f"stayed at chance: the best validation accuracy is {best:.3f}, guessing gives {constant:.3f}"
    return [
        warn(
            "learned",
            best,
            constant,
            message,
            sound_start(seen),
            step=seen.steps,
            cause="not_learning",
            confidence=0.4,
        )
    ]


def _at_chance(
    seen: Observations, limits: Thresholds, chance: Chance, best: float, last: EpochFacts
) -> Finding:
    predicted = [label for label, count in enumerate(last.val_predicted_counts) if count]
    message = f"stayed at chance: the best validation accuracy is {best:.3f}, {_guessing(seen, chance)}"
    remedy, cause, confidence = sound_start(seen), "not_learning", 0.4
    if len(predicted) == 1:
        message += f"; at the end it predicts class {seen.setup.class_name(predicted[0])} for every example"
        if not _is_even(seen, chance):
            remedy = _rebalance(seen)
            cause, confidence = "class_imbalance", 0.5
    return warn(
        "learned",
        best,
        chance.limit(limits.chance_sigmas),
        message,
        remedy,
        step=seen.steps,
        cause=cause,
        confidence=confidence,
    )


def _rebalance(seen: Observations) -> Remedy:
    settings = seen.setup.settings
    if settings.get("sampling") != "shuffled" or settings.get("class_weights") != "none":
        return fix("rebalance", "balance the classes, or weight the loss of rare classes more")
    return Remedy(
        "use class_weights: balanced or sampling: balanced, and objective: balanced_accuracy",
        {"class_weights": "balanced"},
    )


def _unclear(seen: Observations, limits: Thresholds, chance: Chance, accuracy: float) -> Finding:
    message = (
        f"{counted(chance.images, 'validation example is', 'validation examples are')} too few to "
        "tell an accuracy "
        f"of {accuracy:.3f} from guessing; "
        f"{_guessing(seen, chance)}"
    )
    images = chance.images_to_tell(accuracy, limits.chance_sigmas)
    make = note if _recalls_all(seen) else warn
    return make(
        "learned",
        accuracy,
        chance.limit(limits.chance_sigmas),
        message,
        Remedy(f"validate on {counted(images, 'example')} or more"),
        step=seen.steps,
        cause="few_validation_images",
        confidence=0.3,
    )


def _recalls_all(seen: Observations) -> bool:
    """Whether most examples of each class are named right in the latest training batches."""
    found = seen.data.dependence if seen.data is not None else None
    if found is None or len(found.recalls) != seen.classes:
        return False
    return all(recall > _MOST for recall, count in zip(found.recalls, found.counts, strict=True) if count)


def _is_even(seen: Observations, chance: Chance) -> bool:
    """Whether the classes are equally frequent in validation, within an image."""
    return chance.accuracy * chance.images <= chance.images / seen.classes + 1


def _guessing(seen: Observations, chance: Chance) -> str:
    what = "guessing" if _is_even(seen, chance) else "always predicting the most frequent class"
    return f"{what} gives {chance.accuracy:.3f}"
