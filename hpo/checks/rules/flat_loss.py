"""Did the loss stay where it began, though the weights moved? For losses of which nothing else is known.

Sound programs of benchmarks/loops.py lower their loss by a tenth and more, but for games and policies.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import warn
from hpo.checks.facts import Fact, facts, task
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_LEAST_STEPS = 100
_MOVED = 0.1
"""Change of the weights over their first norm, below which nothing was tried yet."""
_PARTS = 5
_LAST, _LOWEST, _HIGHEST = 0.98, 0.95, 1.5
"""What the last, the lowest and the highest fifth have, of the mean loss at the start."""
_FIRST = 5
_EVEN = 0.02
"""Relative distance from ln C that counts as the loss of equal shares."""
_POLICIES = frozenset({"linear", "log_softmax", "lower_bound", "upper_bound", "parameter"})
"""Terms that need not fall: critics, log-probabilities of actions."""
_LOOK = Remedy("see whether targets belong to their inputs, and whether the loss has the right sign")
_TARGETS = fix("fix_labels", "inspect inputs with their targets: they may have been shuffled separately")


def flat_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a loss that ends where it began; not in games, in policies and of losses that others judge."""
    if seen.setup.optimizers > 1 or task(seen) in ("reinforcement", "generative"):
        return []
    if Fact.CLASSIFICATION in facts(seen) or not seen.updates.moved > _MOVED or not _is_flat(seen.losses):
        return []
    if not seen.loss_graphs or any(graph.kinds() & _POLICIES for graph in seen.loss_graphs):
        return []
    last = float(seen.losses[-len(seen.losses) // _PARTS :].mean())
    message = (
        f"the loss stayed at {last:.3g} though the weights moved by {seen.updates.moved:.1g} of their size"
    )
    cause, remedy, confidence = "not_learning", _LOOK, 0.5
    if _is_even(seen, last):
        message += ": that of equal shares of all classes"
        cause, remedy = "labels_do_not_match", _TARGETS
    return [
        warn("flat_loss", last, last, message, remedy, step=seen.steps, cause=cause, confidence=confidence)
    ]


def _is_flat(losses: np.ndarray) -> bool:
    if len(losses) < _LEAST_STEPS or not np.isfinite(losses).all() or not (losses > 0).all():
        return False
    parts = [float(each.mean()) for each in np.array_split(losses, _PARTS)]
    first = max(parts[0], float(losses[:_FIRST].mean()))
    return parts[-1] > _LAST * first and min(parts) > _LOWEST * first and max(parts) < _HIGHEST * first


def _is_even(seen: Observations, level: float) -> bool:
    """Whether a cross-entropy is at ln C, with a softmax over C numbers."""
    sizes = {
        each.shape[each.dim]
        for graph in seen.loss_graphs
        for each in graph.normalizations
        if len(each.shape) > 1
    }
    is_likelihood = all(graph.kinds() == {"nll"} for graph in seen.loss_graphs)
    return is_likelihood and any(abs(level / math.log(size) - 1) < _EVEN for size in sizes if size > 1)
