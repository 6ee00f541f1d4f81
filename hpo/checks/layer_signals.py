"""Do signals pass through the layers: activations that vary, gradients that arrive?

Sources: CS231n lecture 6, weight initialization (activations that shrink layer by layer, saturated tanh, dead
ReLU); Glorot & Bengio 2010.
"""

from __future__ import annotations

import math

from hpo.checks.base import Finding
from hpo.checks.observations import LayerStatistics, Observations, Snapshot
from hpo.checks.remedies import add_norm, better_start, fix
from hpo.spec.thresholds import Thresholds

_ALL = 0.999


def dead_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """A hidden layer whose units are the same for every image. All of them, twice in a row: nothing can pass."""
    latest = _latest(seen)
    if latest is None or not latest.hidden:
        return []
    worst = max(latest.hidden, key=lambda layer: layer.dead)
    if not worst.dead >= limits.dead_share:
        return []
    step = max(latest.step, 0)
    whole = worst.dead > _ALL and latest.step > 0 and _was_dead(seen, worst.name)
    from_start = (
        seen.preflight is not None and _dead_at(seen.preflight.layers, worst.name) >= limits.dead_share
    )
    when = "from the start" if from_start else f"by step {step}"
    message = f"{worst.dead:.0%} of the units give the same output for every image, {when}"
    remedy = better_start(seen) if from_start else add_norm(seen)
    return [
        Finding(
            "dead_units",
            "fatal" if whole else "warn",
            worst.dead,
            limits.dead_share,
            message,
            remedy.text,
            step=step,
            layer=worst.name,
            cause="bad_init" if from_start else "dead_units",
            confidence=0.7,
            change=remedy.change,
        )
    ]


def saturated_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """A layer of which nearly all activations lie at the flat ends, where no gradient passes."""
    latest = _latest(seen)
    if latest is None:
        return []
    known = [layer for layer in latest.hidden if math.isfinite(layer.saturated)]
    worst = max(known, key=lambda layer: layer.saturated, default=None)
    if worst is None or worst.saturated < limits.saturated_share:
        return []
    remedy = better_start(seen)
    return [
        Finding(
            "saturated_units",
            "note",
            worst.saturated,
            limits.saturated_share,
            f"{worst.saturated:.0%} of the {worst.nonlinearity}'s activations are at its flat ends",
            remedy.text,
            step=max(latest.step, 0),
            layer=worst.name,
            cause="saturated_units",
            confidence=0.6,
            change=remedy.change,
        )
    ]


def activation_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Activations that have collapsed to a constant, or grown beyond measure, in the untrained network."""
    if seen.preflight is None or seen.snapshots:
        return []
    hidden = seen.preflight.layers.hidden
    small = next((layer for layer in hidden if layer.std < limits.activation_std_low), None)
    large = next((layer for layer in hidden if layer.std > limits.activation_std_high), None)
    layer = small or large
    if layer is None:
        return []
    remedy = better_start(seen)
    threshold = limits.activation_std_low if small else limits.activation_std_high
    what = "hardly vary" if small else "are huge"
    return [
        Finding(
            "activation_scale",
            "note",
            layer.std,
            threshold,
            f"activations {what}: their standard deviation is {layer.std:.2g}",
            remedy.text,
            layer=layer.name,
            cause="bad_init",
            confidence=0.6,
            change=remedy.change,
        )
    ]


def gradient_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The gradient of the first layer against that of the last, each over its weights' norm."""
    latest = _latest(seen)
    if latest is None or len(latest.layers) < 3:
        return []
    ratios = [_relative(layer) for layer in latest.layers]
    known = [ratio for ratio in ratios if math.isfinite(ratio)]
    if len(known) < 3:
        return []
    first, last = known[0], known[-1]
    if last == 0 and first == 0:
        return [_vanished(seen, latest, 0.0, limits, "no gradient arrives at any layer", 0.6)]
    if first == 0 or last / first > limits.gradient_ratio:
        shrink = f"{last / first:.0e}" if first else "infinitely many"
        message = (
            f"the first layer's gradient is {shrink} times smaller than the last's, relative to the weights"
        )
        return [_vanished(seen, latest, first, limits, message, 0.65)]
    return []


def _vanished(
    seen: Observations, latest: Snapshot, value: float, limits: Thresholds, message: str, sure: float
) -> Finding:
    remedy = add_norm(seen)
    return Finding(
        "gradient_scale",
        "note",
        value,
        limits.gradient_ratio,
        message,
        remedy.text,
        step=max(latest.step, 0),
        layer=latest.layers[0].name,
        cause="vanishing_gradients",
        confidence=sure,
        change=remedy.change,
    )


def hidden_softmax(seen: Observations, limits: Thresholds) -> list[Finding]:
    """A softmax between layers makes units share one unit of activation: signals shrink to nothing."""
    if seen.preflight is None:
        return []
    inside = [layer for layer in seen.preflight.layers.hidden if layer.nonlinearity == "Softmax"]
    if not inside:
        return []
    remedy = fix("replace_hidden_activation", "use relu between layers; softmax belongs into the loss")
    return [
        Finding(
            "hidden_softmax",
            "warn",
            float(len(inside)),
            0.0,
            f"softmax is a hidden activation of {len(inside)} layers: signals and gradients shrink in each",
            remedy.text,
            layer=inside[0].name,
            cause="vanishing_gradients",
            confidence=0.9,
            change=remedy.change,
        )
    ]


def _latest(seen: Observations) -> Snapshot | None:
    if seen.snapshots:
        return seen.snapshots[-1]
    return seen.preflight.layers if seen.preflight else None


def _dead_at(snapshot: Snapshot, name: str) -> float:
    return next((layer.dead for layer in snapshot.layers if layer.name == name), 0.0)


def _was_dead(seen: Observations, name: str) -> bool:
    return len(seen.snapshots) > 1 and _dead_at(seen.snapshots[-2], name) > _ALL


def _relative(layer: LayerStatistics) -> float:
    return layer.gradient_norm / layer.weight_norm if layer.weight_norm else math.nan
