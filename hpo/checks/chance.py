"""What guessing reaches: the accuracy of the best constant answer, and which accuracies exceed it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Standing = Literal["learned", "unclear", "at_chance"]
"""Guessing does not explain an accuracy; there are too few images to tell; guessing explains it."""
_ROUNDING = 1e-7
"""Accuracies in fp32 are off by this much; a million images differ by more."""


@dataclass(frozen=True)
class Chance:
    """The best constant answer on ``images``: ``accuracy`` is the share of their most frequent class."""

    accuracy: float
    images: int

    def limit(self, sigmas: float) -> float:
        """Return the highest accuracy that guessing explains; 1 if there are too few images for any other.

        Guessing exceeds it with at most the probability of a normal variable to exceed ``sigmas`` standard
        deviations, by the exact binomial distribution.
        """
        return _limit(self.accuracy, self.images, sigmas)

    def standing(self, accuracy: float, sigmas: float) -> Standing:
        """Compare an accuracy with ``limit``.

        Nothing is clear above the constant answer if no accuracy on so few images exceeds the limit, or if an
        accuracy does not although it is more than halfway from the constant answer to 1.
        """
        limit = self.limit(sigmas)
        if accuracy > limit + _ROUNDING:
            return "learned"
        above = accuracy > self.accuracy + _ROUNDING
        return "unclear" if above and (limit == 1 or 2 * accuracy > 1 + self.accuracy) else "at_chance"

    def images_to_tell(self, accuracy: float, sigmas: float) -> int:
        """Return about how many images tell ``accuracy``, above the constant answer's, from guessing."""
        low, high = self.images, 2 * self.images
        while accuracy <= _limit(self.accuracy, high, sigmas) + _ROUNDING:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            explained = accuracy <= _limit(self.accuracy, middle, sigmas) + _ROUNDING
            low, high = (middle, high) if explained else (low, middle)
        return high


def largest_share(counts: Sequence[int], classes: int) -> float:
    """Return the share of the most frequent class; 1 / ``classes`` if there are no ``counts`` (per class)."""
    return max(counts) / sum(counts) if sum(counts) else 1 / classes


def constant_loss(counts: Sequence[int], classes: int, smoothing: float = 0.0) -> float:
    """Return the cross-entropy (nats) of the best constant answer, with label smoothing: the labels' entropy.

    ln ``classes`` without ``counts`` or with equal ones.
    """
    if not sum(counts) or min(counts) == max(counts):
        return math.log(classes)
    shares = [(1 - smoothing) * count / sum(counts) + smoothing / classes for count in counts]
    return -sum(share * math.log(share) for share in shares if share > 0)


def constant_value(metric: str, counts: Sequence[int], classes: int) -> float | None:
    """Return what the best constant answer reaches by a metric of hpo's own training; None for others.

    ``counts`` are images per class; empty for equal classes.
    """
    of: Callable[[Sequence[int], int], float] | None = {
        "val_accuracy": largest_share,
        "val_balanced_accuracy": _balanced_share,
        "val_macro_f1": _constant_f1,
        "val_auc": _half,
        "val_loss": constant_loss,
    }.get(metric)
    return of(counts, classes) if of else None


def balanced_chance(counts: Sequence[int], classes: int = 0, images: int = 0) -> Chance | None:
    """Return guessing's mean recall, on as many images of equal classes as tell as much; None if unknown.

    ``counts`` are images per class; without them, ``images`` of equal ``classes``. A mean recall is as
    exact as an accuracy on C^2 / sum(1 / count) images.
    """
    known: list[float] = [count for count in counts if count] or [images / max(1, classes)] * classes
    if len(known) < 2 or not all(known):
        return None
    return Chance(1 / len(known), max(1, round(len(known) ** 2 / sum(1 / count for count in known))))


def auc_limit(counts: Sequence[int], sigmas: float) -> float | None:
    """Return the highest area under the ROC curve that guessing explains; None if ``counts`` are unknown.

    By the spread of a rank sum (H. B. Mann and D. R. Whitney, 1947), of each class against the rest.
    """
    total = sum(counts)
    known = [count for count in counts if 0 < count < total]
    if not known:
        return None
    spreads = [math.sqrt((total + 1) / (12 * count * (total - count))) for count in known]
    return 0.5 + sigmas * sum(spreads) / len(spreads)


def _half(counts: Sequence[int], classes: int) -> float:
    return 0.5


def _balanced_share(counts: Sequence[int], classes: int) -> float:
    return 1 / (sum(count > 0 for count in counts) or classes)


def _constant_f1(counts: Sequence[int], classes: int) -> float:
    share = largest_share(counts, classes)
    return 2 * share / (1 + share) * _balanced_share(counts, classes)


@lru_cache(maxsize=4096)
def _limit(chance: float, images: int, sigmas: float) -> float:
    """Return the smallest share of hits that a binomial variable exceeds seldom enough, by bisection."""
    seldom = math.erfc(sigmas / math.sqrt(2)) / 2
    low, high = max(0, int(images * chance) - 1), images
    while low < high:
        middle = (low + high) // 2
        if _exceeds(middle, images, chance) <= seldom:
            high = middle
        else:
            low = middle + 1
    return high / images


def _exceeds(hits: int, images: int, chance: float) -> float:
    """Return the probability of more than ``hits`` hits, by summing from the largest term on."""
    if chance >= 1 or hits >= images:
        return float(hits < images)
    first = hits + 1
    ways = math.lgamma(images + 1) - math.lgamma(first + 1) - math.lgamma(images - first + 1)
    term = math.exp(ways + first * math.log(chance) + (images - first) * math.log1p(-chance))
    odds, total = chance / (1 - chance), 0.0
    for count in range(first, images + 1):
        total += term
        term *= (images - count) / (count + 1) * odds
        if term < 1e-17 * total and count > images * chance:
            break
    return total
