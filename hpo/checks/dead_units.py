"""Units that give the same output whatever the image: dead ReLUs, above all.

Source: CS231n lecture 6, activation functions: "dead ReLU will never activate, and never update".
"""

from __future__ import annotations

from hpo.checks.base import Finding
from hpo.checks.observations import Observations, Snapshot
from hpo.checks.remedies import add_norm, better_start
from hpo.spec.thresholds import Thresholds

_ALL = 0.999


def dead_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The hidden layer with most. All of a layer's, in two looks in a row: nothing can pass it any more."""
    latest = seen.latest
    if latest is None or not latest.hidden:
        return []
    worst = max(latest.hidden, key=lambda layer: layer.dead)
    if not worst.dead >= limits.dead_share:
        return []
    step = max(latest.step, 0)
    from_start = seen.preflight is not None and _dead(seen.preflight.layers, worst.name) >= limits.dead_share
    whole = worst.dead > _ALL and len(seen.snapshots) > 1 and _dead(seen.snapshots[-2], worst.name) > _ALL
    when = "from the start" if from_start else f"by step {step}"
    return [
        Finding(
            "dead_units",
            "fatal" if whole else "warn",
            worst.dead,
            limits.dead_share,
            f"{worst.dead:.0%} of the units give the same output for every image, {when}",
            better_start(seen) if from_start else add_norm(seen),
            step=step,
            layer=worst.name,
            cause="bad_init" if from_start else "dead_units",
            confidence=0.7,
        )
    ]


def _dead(snapshot: Snapshot, name: str) -> float:
    return next((layer.dead for layer in snapshot.layers if layer.name == name), 0.0)
