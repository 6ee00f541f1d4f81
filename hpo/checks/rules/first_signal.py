"""What reaches the later layers in the first forward pass of a loop: a signal, nothing, or far too much?

Source: CS231n lecture 6, weight initialization: activations should neither vanish nor grow with depth.
"""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.derived import has_learned
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALL = 0.999
_SATURATED = 0.9
_LARGE, _GROWN = 100.0, 30.0
"""Size of a feature; over the largest of the inputs of the first layers."""
_OUTSIDE = 5.0
"""Times the largest label."""
_LEAST_STEPS = 20


def first_signal(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge, at the end, what later layers got at first, if nothing shows that the network learned."""
    hidden = seen.data.hidden if seen.data else []
    if not hidden or seen.steps < _LEAST_STEPS or seen.updates.alike:
        return []  # units that are all equal give nothing: `alike_units` reports them
    dead = next((each for each in hidden if each.constant > _ALL), None)
    flat = next((each for each in hidden if each.saturated > _SATURATED), None)
    large = max(hidden, key=lambda each: each.rms)
    inputs = [each.rms for each in seen.data.inputs if each.is_first or each.is_raw] if seen.data else []
    first = max(inputs, default=1.0)
    if dead is not None:
        message = "it gets the same for every example, from the start"
        is_first = bool(seen.data and seen.data.inputs and seen.data.inputs[0].layer == dead.layer)
        cause = "ignores_input" if is_first else "dead_units"  # only an embedding is before the first
        return [_found(seen, dead.layer, dead.constant, _ALL, message, cause, 0.8)]
    if large.rms > _LARGE and large.rms > _GROWN * max(first, 1.0):
        message = f"it gets values of a size of {large.rms:.3g} at first, the first layer {first:.3g}"
        return [_found(seen, large.layer, large.rms, _LARGE, message, "bad_init", 0.7)]
    found = _outputs(seen)
    if found:
        return found
    if flat is not None:
        message = f"{flat.saturated:.0%} of what it gets at first is at the flat ends of tanh or sigmoid"
        return [_found(seen, flat.layer, flat.saturated, _SATURATED, message, "saturated_units", 0.7)]
    return []


def _outputs(seen: Observations) -> list[Finding]:
    """Judge outputs that begin far outside of what the labels of a squared error span."""
    labels = seen.labels
    known = [audit for audit in seen.audits if audit.kind == "mse" and audit.loss > 0]
    if labels is None or not labels.floats or not known:
        return []
    largest, size = max(abs(labels.low), abs(labels.high)), known[0].loss ** 0.5
    last = float(seen.losses[-_LEAST_STEPS:].mean())
    if not size > _OUTSIDE * largest > 0 or not last > labels.variance:
        return []
    message = f"outputs begin at a size of {size:.3g}, though labels are at most {largest:.3g}"
    return [_found(seen, "", size, _OUTSIDE * largest, message, "bad_init", 0.7)]


def _found(
    seen: Observations,
    layer: str,
    value: float,
    threshold: float,
    message: str,
    cause: str,
    confidence: float,
) -> Finding:
    make = note if has_learned(seen) else warn
    return make(
        "first_signal",
        value,
        threshold,
        message,
        better_start(seen),
        layer=layer,
        cause=cause,
        confidence=confidence,
    )
