"""Memory: all that a babysitter has to remember for a training that is stopped and goes on elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.checks.observations import Observations
from hpo.records import Finding


@dataclass(frozen=True)
class FeedState:
    """Which of a loop's next passes are read, and what is known of the last step."""

    learning_left: int
    evaluating_left: int
    steps: int
    gradient_norm: float | None


@dataclass(frozen=True)
class BabysitterState:
    """A babysitter between two steps; pydantic turns it into JSON and back."""

    seen: Observations
    findings: list[Finding]
    said: dict[str, int]
    """By check, how severe the worst is that the judge has said."""
    feed: FeedState
