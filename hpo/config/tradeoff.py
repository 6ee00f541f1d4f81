"""The second objective of a study: a quantity that its trials trade the objective for, and limits on such."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpo.config.objective import Direction, natural_direction

QUANTITIES: dict[str, Direction] = {
    "parameters": "minimize",
    "milliseconds": "minimize",
    "images_per_second": "maximize",
}
"""What the built-in training of images measures besides its metrics, and which way is better."""
BEFORE_TRAINING = ("parameters", "milliseconds")
"""Quantities that do not depend on how the training goes."""

_LOWER = frozenset(
    {"bytes", "cost", "energy", "flops", "gb", "joules", "kb", "latency", "macs", "mb", "memory", "ms"}
    | {"milliseconds", "minutes", "parameters", "params", "s", "sec", "seconds", "size", "time"}
)
_HIGHER = frozenset({"fps", "throughput"})
_PER_TIME = re.compile(r"per_(s|sec|second|minute|hour)$")
_LABELS = {"milliseconds": "milliseconds for an image", "images_per_second": "training images/s"}


@dataclass(frozen=True)
class Tradeoff:
    """A quantity by its name, and which way is better."""

    quantity: str
    direction: Direction

    @property
    def lower_is_better(self) -> bool:
        """Whether less of it is better."""
        return self.direction == "minimize"

    @property
    def label(self) -> str:
        """The quantity in words."""
        return _LABELS.get(self.quantity, self.quantity)

    def is_beyond(self, amount: float, limit: float) -> bool:
        """Return whether an amount breaks a limit: what is equal does not, what is not a number does."""
        return not (amount <= limit if self.lower_is_better else amount >= limit)

    def bound(self, limit: float) -> str:
        """Return a limit in words, such as ``at most 5 milliseconds for an image``."""
        return f"{'at most' if self.lower_is_better else 'at least'} {amount_text(limit)} {self.label}"


def direction_of(quantity: str, given: Direction | None = None) -> Direction | None:
    """Return which way a quantity is better; None if neither ``given`` nor its name says so."""
    if given is not None or quantity in QUANTITIES:
        return given or QUANTITIES[quantity]
    if _PER_TIME.search(quantity.lower()):
        return "maximize"
    words = re.findall(r"[A-Za-z]+", quantity.replace("_", " ").lower())
    if words and words[-1] in _HIGHER:
        return "maximize"
    return "minimize" if words and words[-1] in _LOWER else natural_direction(quantity)


def amount_text(amount: float) -> str:
    """Format an amount: whole numbers in full up to a million millions, others with four digits."""
    if math.isfinite(amount) and amount == round(amount) and abs(amount) < 1e12:
        return f"{amount:,.0f}"
    return f"{amount:,.0f}" if 1e4 <= abs(amount) < 1e12 else f"{amount:.4g}"


@dataclass(frozen=True)
class Limit:
    """How much of a quantity a trial may have, or must have where more is better."""

    of: Tradeoff
    amount: float

    def broken_by(self, amount: float) -> str:
        """Return in words how an amount breaks it; empty if it does not."""
        if not self.of.is_beyond(amount, self.amount):
            return ""
        than = "more than" if self.of.lower_is_better else "less than"
        return f"{amount_text(amount)} {self.of.label}, {than} {amount_text(self.amount)}"


def broken(limits: Iterable[Limit], amounts: Mapping[str, float]) -> str:
    """Return in words which limits these amounts break; what is not among them breaks none."""
    found = (each.broken_by(amounts[each.of.quantity]) for each in limits if each.of.quantity in amounts)
    return "; ".join(text for text in found if text)


@dataclass(frozen=True)
class TradeoffRules:
    """What a study trades the objective for, and the limits on what its trials have, by quantity."""

    quantity: str | None
    direction: Direction | None
    limit: Mapping[str, float]

    @property
    def goal(self) -> Tradeoff | None:
        """The second objective: what is traded, else what is limited; None for neither."""
        quantity = self.quantity or next(iter(self.limit), None)
        return None if quantity is None else self._of(quantity)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits on what a trial has, such as parameters."""
        return tuple(Limit(self._of(name), amount) for name, amount in self.limit.items())

    @property
    def wanted(self) -> tuple[str, ...]:
        """The quantities that must be known of a trial."""
        return tuple(dict.fromkeys((*([self.quantity] if self.quantity else []), *self.limit)))

    @property
    def within(self) -> str:
        """What sentences about the best trials add: `` within the limit``, or nothing without one."""
        return " within the limit" if self.limit else ""

    def _of(self, quantity: str) -> Tradeoff:
        given = self.direction if quantity == self.quantity else None
        return Tradeoff(quantity, direction_of(quantity, given) or "minimize")
