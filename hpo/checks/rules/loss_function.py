"""Does the loss behave like cross-entropy? Tested on outputs whose loss is known and at the first step."""

from __future__ import annotations

import math

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.checks.preflight import LossProbe
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_BLIND = 4.0
"""Nats of a wrong answer with a logit of 20: 20 for cross-entropy, 2.5 after a second softmax."""
_CONFIDENT = 20.0
"""Cross-entropy of an answer that is wrong by a logit of 20."""
_INDISTINCT = 0.45
"""Nats by which a right answer must be cheaper than a wrong one; at least 0.5, after a sigmoid."""
_CLOSE = 0.35
"""Share of ln C within which a first loss counts as ln C."""

_SIGN = fix("fix_loss_sign", "minimize the cross-entropy itself, not its negative")
_MEAN = fix("use_mean_reduction", "average the loss over the batch, or divide lr by the batch size")
_CROSS_ENTROPY = fix("use_cross_entropy", "use cross_entropy, which takes logits and applies log_softmax")
_BARE = fix("remove_output_activation", "pass logits to cross_entropy: it applies softmax itself")


def loss_function(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Evaluate the loss function on equal, right and wrong outputs."""
    assert seen.preflight is not None
    probe = seen.preflight.loss_probe
    if probe is None:
        return []
    expected = math.log(seen.classes)
    found = _judge(probe, expected)
    if found is None:
        message = (
            f"gives {probe.even:.3f} for equal outputs, {probe.right:.2f} for right and {probe.wrong:.1f} "
            "for wrong ones"
        )
        return [passed("loss_function", probe.even, expected, message)]
    cause, message, remedy = found
    return [warn("loss_function", probe.even, expected, message, remedy, cause=cause, confidence=0.95)]


def _judge(probe: LossProbe, expected: float) -> tuple[str, str, Remedy] | None:
    if probe.wrong < probe.even < probe.right:
        message = f"a right answer costs {probe.right:.2f}, a wrong one {probe.wrong:.2f}: wrong sign"
        return "wrong_loss", message, _SIGN
    if probe.even > (1 + _CLOSE) * expected and probe.even_twice > 1.8 * probe.even:
        message = (
            f"the loss grows with the batch ({probe.even:.1f}; {probe.even_twice:.1f} for twice the batch): "
            "it is a sum"
        )
        return "wrong_loss", message, _MEAN
    if probe.even < 0 and probe.right < probe.even < probe.wrong:
        message = f"the loss of equal outputs is {probe.even:.3f}, not ln C = {expected:.3f}: no logarithm"
        return "wrong_loss", message, _CROSS_ENTROPY
    share = probe.wrong / _CONFIDENT
    if 0 < probe.even < 0.5 * expected and abs(probe.even / expected - share) < 0.1 * share:
        message = f"the loss is 1/{1 / share:.0f} of cross-entropy: it is divided once too often"
        return "wrong_loss", message, _MEAN
    if abs(probe.even) < 0.01 * expected and probe.right < -1:
        message = f"the loss of equal outputs is {probe.even:.3f}, not ln C = {expected:.3f}: no log_softmax"
        return "wrong_loss", message, _CROSS_ENTROPY
    if abs(probe.even - expected) < _CLOSE * expected and probe.wrong < _BLIND:
        if probe.wrong - probe.right < _INDISTINCT:
            message = (
                f"right and wrong answers cost almost the same ({probe.right:.2f} and {probe.wrong:.2f})"
            )
            return "wrong_loss", message, _CROSS_ENTROPY
        message = (
            f"an entirely wrong answer costs {probe.wrong:.2f}, a right one {probe.right:.2f}: softmax is "
            "applied twice"
        )
        return "softmax_twice", message, _BARE
    return None


def first_step_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the first loss of the loop with the cross-entropy that was measured before it."""
    if seen.preflight is None or not seen.steps or not math.isfinite(seen.preflight.loss):
        return []
    first, measured = float(seen.losses[0]), seen.preflight.loss
    expected = math.log(seen.classes)
    if first < 0:
        message = f"the first loss is {first:.3f}, below 0, where cross-entropy gives {measured:.3f}"
        remedy = _SIGN if abs(first + measured) < _CLOSE * measured else _CROSS_ENTROPY
    elif first > 6 * measured and first > 6 * expected:
        message = (
            f"the first loss is {first:.1f}, {first / measured:.0f}x the mean cross-entropy {measured:.3f}"
        )
        remedy = _MEAN
    elif seen.preflight.loss_probe is None and first < 0.1 * measured and measured > 0.7 * expected:
        message = f"the first loss is {first:.3g}, far below the cross-entropy {measured:.3f}"
        remedy = _CROSS_ENTROPY
    else:
        return []
    return [warn("first_step_loss", first, measured, message, remedy, cause="wrong_loss", confidence=0.85)]
