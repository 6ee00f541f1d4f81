"""Do units give the same output for every example? Mostly dead ReLUs.

Source: CS231n lecture 6, activation functions: "dead ReLU will never activate, and never update".
"""

from __future__ import annotations

from hpo.checks.base import fatal, note, warn
from hpo.checks.derived import fallen_share, has_learned
from hpo.checks.observations import Observations
from hpo.checks.preflight import Snapshot
from hpo.checks.remedies import add_norm, better_start, fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALL = 0.999
_CROSSING = 0.5
"""Share of units whose inputs have both signs: a ReLU's output cannot be constant there."""
_FALLS = 0.1
"""Share of the first losses by which the last ones are lower, beyond the noise of batches."""
_ACTIVATION = fix("replace_hidden_activation", "use relu between layers, which passes everything above 0")


def dead_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the hidden layer with the most; fatal if a whole layer is dead in two snapshots in a row.

    Not while outputs differ between examples and the loss falls: then the signal takes another way. A note
    if the network has learned.
    """
    latest = seen.latest
    if latest is None or not latest.hidden:
        return []
    worst = max(latest.hidden, key=lambda layer: layer.dead)
    if not worst.dead >= limits.dead_share:
        return []
    step = max(latest.step, 0)
    from_start = seen.preflight is not None and _dead(seen.preflight.layers, worst.name) >= limits.dead_share
    whole = worst.dead > _ALL and len(seen.snapshots) > 1 and _dead(seen.snapshots[-2], worst.name) > _ALL
    works = latest.logit_spread > 0 and fallen_share(seen) > _FALLS
    make = note if works and has_learned(seen) else fatal if whole and not works else warn
    when = "from the start" if from_start else f"by step {step}"
    deaf = from_start and _two_signed(seen, worst.name) > _CROSSING
    if deaf:
        when += f", although their inputs have both signs: {worst.nonlinearity} passes almost nothing"
    return [
        make(
            "dead_units",
            worst.dead,
            limits.dead_share,
            f"{worst.dead:.0%} of the units give the same output for every example, {when}",
            _ACTIVATION if deaf else better_start(seen) if from_start else add_norm(seen),
            step=step,
            layer=worst.name,
            cause=_cause(seen, worst.name, from_start=from_start and not deaf),
            confidence=0.7,
        )
    ]


def _cause(seen: Observations, name: str, *, from_start: bool) -> str:
    """Units that were alive when their gradient was exactly 0 did not lose it by dying."""
    layers = [
        layer for shot in seen.snapshots if shot.step > 0 for layer in shot.layers if layer.name == name
    ]
    if any(layer.gradient_norm == 0 and layer.dead < _CROSSING for layer in layers):
        return "vanishing_gradients"
    return "bad_init" if from_start else "dead_units"


def _two_signed(seen: Observations, name: str) -> float:
    """Return the share of units whose inputs had both signs before training; 0 if unknown."""
    layers = seen.preflight.layers.layers if seen.preflight else ()
    found = next((layer.two_signed for layer in layers if layer.name == name), 0.0)
    return found if found == found else 0.0


def _dead(snapshot: Snapshot, name: str) -> float:
    return next((layer.dead for layer in snapshot.layers if layer.name == name), 0.0)
