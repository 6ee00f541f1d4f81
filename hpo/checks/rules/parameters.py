"""Is every parameter trainable, in the optimizer, and reached by a gradient?"""

from __future__ import annotations

from hpo.checks.base import note, passed, warn
from hpo.checks.derived import is_poor, learned_share
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted, listed

_LIKELY = 0.39
"""To freeze is common: that the rest learned little may have another cause, which its own evidence names."""
_BRANCH = 0.2
"""Share of the parameters below which those without a gradient may be the end of an unused branch."""
_HARDLY = 0.2
"""Share of what is possible below which what is trained cannot be enough."""


def trained_parameters(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report parameters that are frozen or not in the optimizer."""
    setup = seen.setup
    found = []
    if setup.frozen:
        message = f"requires_grad is off for {listed(setup.frozen)}"
        found.append(
            _warn(
                "trained_parameters", len(setup.frozen), message, fix("unfreeze", "set requires_grad_(True)")
            )
        )
    if setup.unoptimized:
        message = f"the optimizer lacks {listed(setup.unoptimized)}"
        if setup.foreign_parameters:
            message += f" but has {counted(setup.foreign_parameters, 'parameter')} of another model"
        remedy = fix(
            "give_all_parameters", "create the optimizer from model.parameters() once the model is final"
        )
        found.append(_warn("trained_parameters", len(setup.unoptimized), message, remedy))
    if not found:
        message = f"the optimizer has all {counted(setup.parameters, 'parameter')}"
        found.append(passed("trained_parameters", 0.0, 0.0, message))
    return found[:1]


def untrained_parameters(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge, at the end, parameters that were left out of a loop that is not configured by hpo.

    To freeze is common in fine-tuning: frozen parameters that the optimizer lacks are left out on purpose.
    """
    if seen.updates.unregistered:
        names = seen.updates.unregistered
        message = f"{listed(names)} never changed in spite of gradients: the model does not know them"
        remedy = fix(
            "give_all_parameters", "keep layers in nn.ModuleList or nn.ModuleDict, not in a list or dict"
        )
        return [_warn("untrained_parameters", len(names), message, remedy)]
    if seen.untrained:
        message = f"{listed(seen.untrained)} never changed in spite of gradients: the optimizer lacks them"
        remedy = fix("give_all_parameters", "create the optimizer from all parameters that should be trained")
        return [_warn("untrained_parameters", len(seen.untrained), message, remedy)]
    if seen.unreached:
        message = f"no gradient ever reached {listed(seen.unreached)}"
        remedy = fix("reattach", "look for detach(), .data, no_grad() or an unused branch in forward")
        count = len(seen.unreached)
        if count < _BRANCH * seen.setup.parameters:  # a branch that nothing uses costs nothing
            return [
                note(
                    "untrained_parameters",
                    float(count),
                    0.0,
                    message,
                    remedy,
                    cause="detached",
                    confidence=_LIKELY,
                )
            ]
        return [_warn("untrained_parameters", count, message, remedy, cause="detached")]
    cut_off = seen.preflight.cut_off if seen.preflight else ()
    if cut_off:
        message = f"the output depends on {listed(cut_off)}, but no gradient passes from it to these"
        remedy = fix(
            "reattach", "look for detach(), .data, no_grad() or rounding between them and the output"
        )
        return [_warn("untrained_parameters", len(cut_off), message, remedy, cause="detached")]
    if seen.still_frozen and is_poor(seen):
        message = f"requires_grad is off for {listed(seen.still_frozen)}, which the optimizer has"
        remedy = fix("unfreeze", "set requires_grad_(True)")
        return [_warn("untrained_parameters", len(seen.still_frozen), message, remedy, confidence=_LIKELY)]
    frozen = seen.setup.frozen
    if not frozen:
        return []
    if Fact.CLASSIFICATION in facts(seen) and learned_share(seen) < _HARDLY:
        message = f"requires_grad is off for {listed(frozen)}, and the rest has learned hardly anything"
        remedy = fix("unfreeze", "set requires_grad_(True)")
        return [_warn("untrained_parameters", len(frozen), message, remedy, confidence=_LIKELY)]
    message = f"requires_grad is off for {listed(frozen)}: is this meant, and are trained weights loaded?"
    remedy = Remedy("set requires_grad_(True) for what should be trained")
    return [
        note(
            "untrained_parameters",
            float(len(frozen)),
            0.0,
            message,
            remedy,
            cause="frozen_parameters",
            confidence=0.3,
        )
    ]


def gradient_reaches(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report parameters that backward gives no gradient."""
    assert seen.preflight is not None
    without = seen.preflight.without_gradient
    if not without:
        return [passed("gradient_reaches", 0.0, 0.0, "a gradient reaches every parameter")]
    remedy = fix("reattach", "look for detach(), .data, no_grad() or an unused branch in forward")
    message = f"no gradient reaches {listed(without)}"
    return [_warn("gradient_reaches", len(without), message, remedy, cause="detached")]


def _warn(
    check: str,
    count: int,
    message: str,
    remedy: Remedy,
    cause: str = "frozen_parameters",
    confidence: float = 0.9,
) -> Finding:
    return warn(check, float(count), 0.0, message, remedy, cause=cause, confidence=confidence)
