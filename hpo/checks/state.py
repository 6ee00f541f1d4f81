"""The state of a babysitter, for a training that stops and resumes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from hpo.checks.observations import Observations
from hpo.records import Finding, formerly


@dataclass(frozen=True)
class ForwardMonitorState:
    """Which forward passes are recorded next, and what is known of the last step."""

    learning_left: int
    evaluating_left: int
    steps: int
    gradient_norm: float | None


@dataclass(frozen=True)
class BabysitterState:
    """A babysitter between two steps; pydantic converts it to JSON and back."""

    seen: Observations
    findings: list[Finding]
    reported: Annotated[dict[str, int], formerly("reported", "said")]
    """By check, the severity of its worst reported finding."""
    forward_monitor: Annotated[ForwardMonitorState, formerly("forward_monitor", "feed")]
    waiting: tuple[float, ...] = ()
    """Losses of the last steps that no round of checks has seen yet."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """By check that was skipped, the facts that it lacks; it may run later."""
    kept: dict[str, Any] | None = None
    """What the measuring of a loop of one's own keeps, with tensors: not for JSON (``measure.kept_state``).
    None in checkpoints of older versions, and where it is too large."""
