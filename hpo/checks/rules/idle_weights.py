"""Are there weights that training cannot use: equal units, gradients of exactly 0, frozen as drawn?

Source: CS231n lecture 6, weight initialization: units with equal weights get equal gradients and stay equal.
"""

from __future__ import annotations

import math

from hpo.checks.base import note, warn
from hpo.checks.derived import has_learned, is_outcome_known, learned_share
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start, fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import listed

_CONSTANT = 1e-6
"""Difference of outputs between examples over their size: rounding."""
_FEWEST_STEPS = 20
_LITTLE = 0.4
"""Share of what is possible."""


def alike_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end, trained layers whose units are still all the same."""
    names = seen.updates.alike
    if not names or seen.optimizer_steps < _FEWEST_STEPS:
        return []
    message = f"all units of {listed(names)} have the same weights at the end: no gradient tells them apart"
    remedy = fix("fix_init", "initialize the weights at random, as the layers of torch.nn do")
    return [
        warn("alike_units", float(len(names)), 0.0, message, remedy, cause="symmetric_units", confidence=0.9)
    ]


def without_gradient(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end, weights that never moved since their gradients are exactly 0."""
    names = seen.updates.without_gradient
    if not names or seen.updates.alike or seen.optimizer_steps < _FEWEST_STEPS:
        return []
    is_constant = any(audit.variety < _CONSTANT for audit in seen.audits)
    message = f"the gradient of {listed(names)} is exactly 0"
    if is_constant:
        message += ", and the output is the same for every example: units before it give nothing"
    cause = "dead_units" if is_constant else "vanishing_gradients"
    make = note if has_learned(seen) or not is_constant else warn
    return [
        make(
            "without_gradient",
            float(len(names)),
            0.0,
            message,
            better_start(seen),
            cause=cause,
            confidence=0.8,
        )
    ]


def _is_poor(seen: Observations) -> bool:
    """Whether little was learned, or can be; random features may do."""
    if seen.classes > 1 and math.isfinite(learned_share(seen)):
        return learned_share(seen) < _LITTLE
    is_known = is_outcome_known(seen) and any(audit.kind == "mse" for audit in seen.audits)
    return not seen.updates.has_trained_weights or (is_known and not has_learned(seen))


def frozen_as_drawn(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report frozen weights that still are as PyTorch initializes them: no trained weights were loaded."""
    names, setup = seen.updates.frozen_as_drawn, seen.setup
    if not names or seen.optimizer_steps < _FEWEST_STEPS:
        return []
    if not setup.parameters or setup.foreign_parameters:
        return []  # what is trained is not this network, but its input, say
    message = f"requires_grad is off for {listed(names)}, whose weights are as PyTorch draws them at random"
    remedy = fix("unfreeze", "set requires_grad_(True), or load trained weights before")
    make = warn if _is_poor(seen) else note
    return [
        make(
            "frozen_as_drawn",
            float(len(names)),
            0.0,
            message,
            remedy,
            cause="frozen_parameters",
            confidence=0.85,
        )
    ]
