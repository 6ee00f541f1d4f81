"""Remedies: what to change, as text and as configuration fields, with values where numbers allow it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hpo.checks.derived import update_excess
from hpo.checks.observations import Observations
from hpo.records import Remedy

_START = 0.01
"""Initial learning rate where it was 0."""
_LARGEST_CHANGE = 1e3
"""Largest change of a plausible learning rate: tiny initial weights make any step look long."""
_PLAUSIBLE_LR = 100.0


def fix(code: str, text: str) -> Remedy:
    """Return the remedy for a mistake in the code of the loop."""
    return Remedy(text, {"code": code})


def use(seen: Observations, text: str, change: Mapping[str, Any], otherwise: str) -> Remedy:
    """Return the remedy, or the text ``otherwise`` if all of the change is set already or cannot be set."""
    return Remedy(text, change) if seen.setup.would_change(change) else Remedy(otherwise)


def lower_lr(seen: Observations) -> Remedy:
    """Lower lr until the first updates have their usual size, to at most a third of its value."""
    factor = update_excess(seen)
    most = _LARGEST_CHANGE if seen.setup.lr <= _PLAUSIBLE_LR else math.inf
    factor = 3.0 if factor is None else min(max(factor, 3.0), most)
    lr = two_digits(written_lr(seen) / factor)
    return Remedy(f"lower lr to {lr:g} or less (it was {written_lr(seen):.3g})", {"lr": lr})


def raise_lr(seen: Observations) -> Remedy:
    """Raise lr until the first updates have their usual size, to at least three times its value."""
    if seen.setup.lr == 0:
        return Remedy(f"raise lr, which is 0, to about {_START:g}", {"lr": _START})
    factor = update_excess(seen)
    factor = 1 / 10 if factor is None else max(min(factor, 1 / 3), 1 / _LARGEST_CHANGE)
    lr = two_digits(written_lr(seen) / factor)
    return Remedy(f"raise lr to about {lr:g} (it was {written_lr(seen):.3g})", {"lr": lr})


def written_lr(seen: Observations) -> float:
    """Return the learning rate as the configuration has it: the optimizer's, unless it is decoupled."""
    settings = seen.setup.settings
    return float(settings["lr"]) if settings.get("decoupled") else seen.setup.lr


def two_digits(value: float) -> float:
    """Round to two significant digits."""
    return float(f"{value:.2g}")


def better_start(seen: Observations) -> Remedy:
    """Change the initializer: He's for rectifiers, Xavier's for odd, saturating activations.

    If the configuration has it already, add batch normalization.
    """
    odd = seen.setup.settings.get("activation") in ("tanh", "sigmoid", "lecun_tanh")
    name = "xavier" if odd else "he"
    if not seen.setup.has("initializer"):
        return Remedy("initialize the weights with He's or Xavier's scale (torch.nn.init)")
    if seen.setup.settings.get("initializer") != name:
        return Remedy(f"use initializer: {name}", {"initializer": name})
    return use(
        seen,
        f"initialize the weights like initializer: {name}, and use batch_norm: before",
        {"initializer": name, "batch_norm": "before"},
        f"scale the weights like initializer: {name}, or lower lr",
    )


def sound_start(seen: Observations) -> Remedy:
    """Suggest the combination that trains most reliably, where nothing more specific is known."""
    change = {"batch_norm": "before", "activation": "relu", "initializer": "he"}
    wrong = seen.setup.would_change(change)
    if not wrong and seen.setup.settings:
        return lower_lr(seen)
    values = ", ".join(f"{name}: {value}" for name, value in (wrong or change).items())
    return Remedy(f"use {values}; or change lr (it was {seen.setup.lr:.3g})", wrong or change)


def add_norm(seen: Observations) -> Remedy:
    """Add batch normalization, which rescues most initializations; if it is on, suggest what else does."""
    settings = seen.setup.settings
    if not seen.setup.has("batch_norm"):
        return Remedy("add batch normalization")
    if settings.get("batch_norm") not in ("before", "after"):
        return Remedy("use batch_norm: before", {"batch_norm": "before"})
    change = {"activation": "relu", "initializer": "he"}
    wrong = seen.setup.would_change(change)
    if not wrong:
        return lower_lr(seen)
    return Remedy("use " + " and ".join(f"{name}: {value}" for name, value in wrong.items()), wrong)
