"""Is every parameter trainable, in the optimizer, and reached by a gradient?"""

from __future__ import annotations

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted


def trained_parameters(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report parameters that are frozen or not in the optimizer."""
    setup = seen.setup
    found = []
    if setup.frozen:
        message = f"requires_grad is off for {_listed(setup.frozen)}"
        found.append(
            _warn(
                "trained_parameters", len(setup.frozen), message, fix("unfreeze", "set requires_grad_(True)")
            )
        )
    if setup.unoptimized:
        message = f"the optimizer lacks {_listed(setup.unoptimized)}"
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


def gradient_reaches(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report parameters that backward gives no gradient."""
    assert seen.preflight is not None
    without = seen.preflight.without_gradient
    if not without:
        return [passed("gradient_reaches", 0.0, 0.0, "a gradient reaches every parameter")]
    remedy = fix("reattach", "look for detach(), .data, no_grad() or an unused branch in forward")
    message = f"no gradient reaches {_listed(without)}"
    return [_warn("gradient_reaches", len(without), message, remedy, cause="detached")]


def _warn(check: str, count: int, message: str, remedy: Remedy, cause: str = "frozen_parameters") -> Finding:
    return warn(check, float(count), 0.0, message, remedy, cause=cause, confidence=0.9)


def _listed(names: tuple[str, ...], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
