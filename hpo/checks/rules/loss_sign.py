"""Is the right thing minimized? With the wrong sign a loss pushes outputs away, or falls far below 0."""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import note, warn
from hpo.checks.facts import task
from hpo.checks.loss_facts import LossFacts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_SIGN = fix("fix_loss_sign", "look for a minus sign too few or too many: the loss is what is minimized")
_RANGE = fix("fix_labels", "binary_cross_entropy needs labels from 0 to 1")
_COMPARED = frozenset({"mse", "squared_error", "l1", "smooth_l1", "huber", "bce", "nll", "ctc"})
"""Terms that compare outputs with targets, so that less is better."""
_NEVER_NEGATIVE = _COMPARED | {"square", "relu", "norm", "exp", "sigmoid", "softplus", "abs"}
"""Terms that cannot be below 0."""
_BOUNDS = {"lower_bound": -1, "upper_bound": 1}
"""The sign that the bound of a clipped policy objective has in a sound loss."""
_DIVERGENCE = frozenset({"exp", "square", "other"})
"""Of the divergence of a normal distribution: exp(v) + m² - 1 - v."""
_TINY = 1e-6
"""Below 0 by less than this share of the largest loss is rounding."""
_ALWAYS = 0.95
_AWAY = 0.1
"""Share of outputs that are pulled toward their labels: 1 in a sound loop, 0.5 by chance."""
_LEAST_STEPS = 60
_FAR, _OFF = 5.0, 1000.0
"""Times the first loss below 0."""
_STEADY = 0.5
"""Fall in the last third over that in the first two. The likelihood of a density falls ever more slowly."""


def impossible_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a loss below 0 none of whose parts can be."""
    losses = seen.losses[np.isfinite(seen.losses)]
    if not seen.loss_graphs or not len(losses) or any(each.missing_log for each in seen.loss_graphs):
        return []
    below = losses < -_TINY * float(np.abs(losses).max())
    if not below.any():
        return []
    lowest = float(losses.min())
    names = " and ".join(sorted(seen.loss_graphs[0].kinds()))
    make = warn if _has_targets(seen) else note  # a variance may be meant to grow
    if all(map(_cannot_be_negative, seen.loss_graphs)):
        turned = any(term.sign < 0 for graph in seen.loss_graphs for term in graph.terms)
        is_range = seen.loss_graphs[0].kinds() == {"bce"} and not turned and not below.mean() > _ALWAYS
        message = f"the loss is {lowest:.3g}, though {names} cannot be below 0"
        remedy = _RANGE if is_range else _SIGN
        return [make("loss_sign", lowest, 0.0, message, remedy, cause="wrong_loss", confidence=0.95)]
    is_game = task(seen) == "reinforcement"
    if below.mean() > _ALWAYS and not is_game and all(map(_is_less_likely, seen.loss_graphs)):
        message = f"the loss is {lowest:.3g}: it falls as the log-probabilities do"
        return [make("loss_sign", lowest, 0.0, message, _SIGN, cause="wrong_loss", confidence=0.9)]
    if below.mean() > _ALWAYS and not is_game and all(map(_is_turned, seen.loss_graphs)):
        message = f"every part of the loss ({names}) has a minus sign: it falls to {lowest:.3g} as they grow"
        return [make("loss_sign", lowest, 0.0, message, _SIGN, cause="wrong_loss", confidence=0.85)]
    return []


def _has_targets(seen: Observations) -> bool:
    """Whether outputs are compared with something."""
    is_compared = all(graph.kinds() & _COMPARED for graph in seen.loss_graphs)
    return is_compared or seen.labels is not None or task(seen) is not None


def _cannot_be_negative(graph: LossFacts) -> bool:
    return bool(graph.terms) and all(
        term.kind in _NEVER_NEGATIVE and not term.is_altered for term in graph.terms
    )


def _is_turned(graph: LossFacts) -> bool:
    """Whether all parts are squares and the like, and all are subtracted."""
    return bool(graph.terms) and all(term.kind in _NEVER_NEGATIVE and term.sign < 0 for term in graph.terms)


def _is_less_likely(graph: LossFacts) -> bool:
    """Whether all parts are logarithms of probabilities or of mixtures, and none is turned around."""
    return bool(graph.terms) and all(
        term.sign > 0 and (term.kind == "log_softmax" or (term.kind == "log_sum_exp" and not term.is_altered))
        for term in graph.terms
    )


def lost_bound(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a clipped policy objective of the wrong sign: its lower bound is to rise, its upper to fall."""
    bounds = [
        (term.kind, term.sign)
        for graph in seen.loss_graphs
        for term in graph.terms
        if term.kind in _BOUNDS and not term.is_altered
    ]
    if not bounds or any(sign != -_BOUNDS[kind] for kind, sign in bounds) or seen.setup.maximizes:
        return []
    which = "lower" if bounds[0][0] == "lower_bound" else "upper"
    message = f"the {which} bound of the clipped objective is turned the wrong way: the policy gets worse"
    return [warn("lost_bound", 1.0, 0.0, message, _SIGN, cause="wrong_loss", confidence=0.9)]


def pushes_away(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a loss that pushes outputs away from labels that are floats, in every audited step."""
    known = [audit.pull for audit in seen.audits if not math.isnan(audit.pull)]
    if not known or max(known) >= _AWAY or seen.setup.maximizes:
        return []
    message = f"the loss pushes outputs away from their labels: only {max(known):.0%} are pulled toward them"
    return [warn("pushes_away", max(known), _AWAY, message, _SIGN, cause="wrong_loss", confidence=0.9)]


def runaway_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a loss that falls without bound: far below 0, and no slower at the end than before."""
    losses = seen.losses
    if len(losses) < _LEAST_STEPS or not np.isfinite(losses).all() or _has_opponents(seen):
        return []
    width = len(losses) // 6
    start, middle, end = (
        float(losses[at : at + width].mean()) for at in (0, 4 * width - width // 2, len(losses) - width)
    )
    scale = max(abs(float(losses[0])), 1.0)
    runs_off = end < -_OFF * scale
    is_steady = end < -_FAR * scale and start > middle and middle - end > _STEADY * (start - middle) / 2
    if not runs_off and not (seen.ended and is_steady):
        return []
    message = f"the loss falls without bound, from {losses[0]:.3g} to {end:.3g}"
    return [warn("runaway_loss", end, 0.0, message, _SIGN, cause="wrong_loss", confidence=0.85)]


def _has_opponents(seen: Observations) -> bool:
    """Whether losses may run off as players and critics win."""
    return seen.setup.optimizers > 1 or task(seen) == "reinforcement"


def less_likely(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Ask whether log-probabilities are meant to fall: they enter the loss without a minus sign."""
    terms = [term for graph in seen.loss_graphs for term in graph.terms if term.kind == "log_softmax"]
    if not terms or any(term.sign < 0 for term in terms) or seen.setup.maximizes:
        return []
    if seen.labels is not None and np.nanmedian(seen.losses) > 0:
        return []  # a factor turns them around
    message = "log-probabilities enter the loss with a plus sign: is this meant, e.g. are weights negated?"
    return [note("less_likely", 1.0, 0.0, message, _SIGN, cause="wrong_loss", confidence=0.4)]
