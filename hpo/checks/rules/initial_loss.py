"""Is the loss before training ln C, as for a network that knows nothing, and more with regularization?

Source: CS231n lecture 6, "babysitting the learning process": ten classes start at ln 10 = 2.302, and
switching regularization on must raise that.
"""

from __future__ import annotations

import math

from hpo.checks.base import fatal, note, passed, warn
from hpo.checks.derived import is_poor
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_HEAVY = 5.0
"""Penalty over data loss above which the weights follow the penalty rather than the images."""


def initial_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the data loss of the untrained network (nats, regularization off) with ln C."""
    if seen.preflight is None:
        return []
    loss, classes = seen.preflight.loss, seen.classes
    expected = math.log(classes)
    remedy = better_start(seen)
    if not math.isfinite(loss):
        message = (
            f"the loss is {loss} before the first step; an untrained network of "
            f"{counted(classes, 'class')} gives "
            f"{expected:.3f}"
        )
        return [fatal("initial_loss", loss, expected, message, remedy, cause="bad_init", confidence=0.9)]
    limit = limits.initial_loss_factor * expected
    if loss > limit:
        message = (
            f"the first loss is {loss:.3f}, far above ln {classes} = {expected:.3f}: the network starts "
            "confident and wrong"
        )
        # Trained weights of another task start so, too: in other loops the end decides.
        is_own = Fact.OWN_LOOP in facts(seen)
        make = note if is_own and (seen.setup.frozen or not is_poor(seen)) else warn
        confidence = 0.4 if is_own and seen.setup.frozen else 0.8
        return [make("initial_loss", loss, limit, message, remedy, cause="bad_init", confidence=confidence)]
    message = f"the first loss is {loss:.3f}; ln {classes} = {expected:.3f}"
    return [passed("initial_loss", loss, expected, message)]


def regularized_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Check that the penalty (nats, at the initial weights) raises the loss, but not too far."""
    assert seen.preflight is not None
    loss, penalty = seen.preflight.loss, seen.preflight.penalty
    if penalty is None or not math.isfinite(loss + penalty):
        return []
    if penalty > _HEAVY * loss:
        message = f"the penalty of {penalty:.3g} outweighs the loss of {loss:.3g}"
        return [
            note(
                "regularized_loss",
                penalty,
                _HEAVY * loss,
                message,
                _less_penalty(seen),
                cause="over_regularized",
                confidence=0.6,
            )
        ]
    if penalty > 0:
        message = f"regularization raises the first loss from {loss:.3f} to {loss + penalty:.3f}"
        return [passed("regularized_loss", penalty, 0.0, message)]
    message = (
        "regularization is on but does not raise the loss: it acts on no weight, or all weights are zero"
    )
    return [
        note(
            "regularized_loss",
            penalty,
            0.0,
            message,
            Remedy("check the initializer, or leave weight_decay and l1 at 0"),
        )
    ]


def _less_penalty(seen: Observations) -> Remedy:
    usual = {"weight_decay": 5e-4, "l1": 0.0}
    settings = seen.setup.settings
    lower = {name: value for name, value in usual.items() if (settings.get(name, math.inf) or 0.0) > value}
    return Remedy(f"lower {' and '.join(lower or usual)}", lower)
