"""Distributions of hyperparameters, and the order in which a space is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Scalar: TypeAlias = bool | int | float | str | None
Range: TypeAlias = tuple[float, float]


class _Distribution(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    when: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="drawn only if these other fields have these values"
    )

    def active(self, values: Mapping[str, Any]) -> bool:
        """Return whether ``when`` holds for the values drawn or fixed so far."""
        return all(
            name in values and values[name] in (wanted if isinstance(wanted, list) else [wanted])
            for name, wanted in self.when.items()
        )


class _Interval(_Distribution):
    @property
    def bounds(self) -> Range:
        raise NotImplementedError

    @model_validator(mode="after")
    def _ordered(self) -> _Interval:
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"the lower bound {low:g} is not below the upper bound {high:g}")
        return self

    def extremes(self) -> list[Any]:
        """Return the bounds, for checks against other fields."""
        return list(self.bounds)

    def can_be(self, value: Any) -> bool:
        """Return whether ``value`` may be drawn; a single number of a continuous range never is."""
        return False

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` lies in the range."""
        low, high = self.bounds
        return isinstance(value, int | float) and low <= value <= high


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


class Log(_Interval):
    """Uniform in the exponent: ``{log: [1e-4, 1]}``."""

    log: Range

    @property
    def bounds(self) -> Range:
        return self.log

    @model_validator(mode="after")
    def _positive(self) -> Log:
        if self.log[0] <= 0:
            raise ValueError(f"a log scale needs a low end above 0, not {self.log[0]:g}")
        return self

    def draw(self, u: float) -> float:
        """Return the value at quantile ``u`` in [0, 1)."""
        low, high = math.log(self.log[0]), math.log(self.log[1])
        return min(self.log[1], max(self.log[0], math.exp(low + u * (high - low))))

    def quantile(self, value: float) -> float:
        """Return the quantile of ``value`` on the range's scale, clipped to [0, 1]; inverse of ``draw``."""
        return _share(math.log(value) if value > 0 else -math.inf, *map(math.log, self.log))


class Uniform(_Interval):
    """Uniform between the ends: ``{uniform: [0.8, 0.99]}``."""

    uniform: Range

    @property
    def bounds(self) -> Range:
        return self.uniform

    def draw(self, u: float) -> float:
        """Return the value at quantile ``u`` in [0, 1)."""
        return self.uniform[0] + u * (self.uniform[1] - self.uniform[0])

    def quantile(self, value: float) -> float:
        """Return the quantile of ``value``, clipped to [0, 1]; inverse of ``draw``."""
        return _share(value, *self.uniform)


class Integer(_Interval):
    """Uniform over integers, both bounds included: ``{int: [2, 5]}``."""

    int_: tuple[int, int] = Field(alias="int")

    @property
    def bounds(self) -> Range:
        return self.int_

    def extremes(self) -> list[Any]:
        """Return the bounds, or all values if they are few: some depths in between are invalid."""
        low, high = self.int_
        return list(range(low, high + 1)) if high - low < 200 else [low, high]

    def can_be(self, value: Any) -> bool:
        """Return whether ``value`` may be drawn."""
        return isinstance(value, int) and self.int_[0] <= value <= self.int_[1]

    contains = can_be

    def draw(self, u: float) -> int:
        """Return the value at quantile ``u`` in [0, 1)."""
        low, high = self.int_
        return low + min(high - low, math.floor(u * (high - low + 1)))

    def quantile(self, value: float) -> float:
        """Return the middle of the quantiles that ``draw`` maps to ``value``, clipped to [0, 1]."""
        low, high = self.int_
        return _share(value + 0.5, low, high + 1)


class Choice(_Distribution):
    """One of a list, all equally likely: ``{choice: [relu, tanh]}``."""

    choice: Annotated[list[Scalar], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        keys = [repr(value) for value in self.choice]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise ValueError(f"repeated in choice: {', '.join(repeated)}")
        return self

    def extremes(self) -> list[Any]:
        """Return every value, for checks against other fields."""
        return list(self.choice)

    def can_be(self, value: Any) -> bool:
        """Return whether ``value`` may be drawn."""
        return value in self.choice

    contains = can_be

    def draw(self, u: float) -> Scalar:
        """Return the value at quantile ``u`` in [0, 1)."""
        return self.choice[min(len(self.choice) - 1, math.floor(u * len(self.choice)))]


Distribution: TypeAlias = Log | Uniform | Integer | Choice
KINDS: dict[str, type[Log] | type[Uniform] | type[Integer] | type[Choice]] = {
    "log": Log,
    "uniform": Uniform,
    "int": Integer,
    "choice": Choice,
}
Kind = Literal["log", "uniform", "int", "choice"]


def drawing_order(space: Mapping[str, Distribution]) -> list[str]:
    """Return the names of a space, each after those that its ``when`` names.

    A circular ``when`` is cut at an arbitrary place; ``load.py`` rejects such spaces.
    """
    order: dict[str, None] = {}
    entered: set[str] = set()

    def place(name: str) -> None:
        if name not in space or name in entered:
            return
        entered.add(name)
        for parent in space[name].when:
            place(parent)
        order[name] = None

    for name in space:
        place(name)
    return list(order)
