"""Does a squared error end where a constant answer would? Nothing has to be known of the labels for that."""

from __future__ import annotations

import math
import statistics

import numpy as np

from hpo.checks.base import warn
from hpo.checks.facts import loss_kind, task
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_SQUARED = frozenset({"mse", "squared_error"})
_NOTHING = 0.9
"""Share of a constant answer's loss above which hardly anything is explained."""
_FLAT = 0.01
"""Relative fall over the second half."""
_LEAST_STEPS = 100
_WINDOW = 20
_VARIED = 0.03
"""Difference of the first outputs between examples over their size, above which they depend on the inputs."""
_MOVED = 0.03
"""Change of the weights over their first norm, below which nothing was tried yet."""
_SHRUNK = 0.2
_WILD = 3.0
"""A loss of so many times the first may have ruined the network."""
_OF_PLACES = ("language_model", "segmentation")
"""Tasks with a class for each token or pixel; others have checks by accuracy."""
_AT_CHANCE, _ABOVE = 0.95, 2.0
"""Shares of the entropy of the classes. A loss far above it has another flaw."""
_SOME_CLASSES = 0.3
"""Entropy (nats) below which one class is almost all."""
_UNEXPLAINED = Remedy("see whether targets belong to their inputs, and whether the inputs reach the network")
_TARGETS = fix("fix_labels", "inspect inputs with their targets: they may have been shuffled separately")


def constant_answer(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a squared error that ended no better than the best constant answer, and no longer fell."""
    known = [audit.constant_loss for audit in seen.audits]
    losses = seen.losses
    if not known or any(map(math.isnan, known)) or len(losses) < _LEAST_STEPS:
        return []
    if not seen.loss_graphs or any(not graph.kinds() <= _SQUARED for graph in seen.loss_graphs):
        return []
    if not np.isfinite(losses).all() or seen.setup.optimizers > 1 or task(seen) == "reinforcement":
        return []
    if seen.updates.shrunk < _SHRUNK and seen.setup.weight_decay:
        return []  # `decayed_weights` reports this
    constant, last = statistics.mean(known), float(losses[-_WINDOW:].mean())
    if constant < _FLAT * seen.audits[0].loss or last < _NOTHING * constant or _still_falls(losses):
        return []
    message = f"the loss ends at {last:.3g}; the best constant answer has {constant:.3g}"
    cause, remedy = ("labels_do_not_match", _TARGETS) if _tried(seen) else ("not_learning", _UNEXPLAINED)
    limit = _NOTHING * constant
    return [warn("constant_answer", last, limit, message, remedy, cause=cause, confidence=0.6)]


def constant_classes(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a cross-entropy of tokens or pixels that ended no better than their frequencies explain."""
    known, losses = [audit.class_entropy for audit in seen.audits], seen.losses
    if task(seen) not in _OF_PLACES or loss_kind(seen) not in ("cross_entropy", "nll"):
        return []
    if not known or any(map(math.isnan, known)) or len(losses) < _LEAST_STEPS:
        return []
    constant, last = statistics.mean(known), float(losses[-_WINDOW:].mean())
    if (
        constant < _SOME_CLASSES
        or not _ABOVE * constant > last > _AT_CHANCE * constant
        or _still_falls(losses)
    ):
        return []
    message = f"the loss ends at {last:.3g}; always naming the classes by their frequency has {constant:.3g}"
    cause, remedy = ("labels_do_not_match", _TARGETS) if _tried(seen) else ("not_learning", _UNEXPLAINED)
    limit = _AT_CHANCE * constant
    return [warn("constant_classes", last, limit, message, remedy, cause=cause, confidence=0.6)]


def _tried(seen: Observations) -> bool:
    """Whether outputs depended on inputs at the start, and many steps of a sound size led nowhere."""
    moved = seen.data.dependence.moved if seen.data is not None else math.nan
    varied = all(audit.variety > _VARIED for audit in seen.audits)
    calm = float(seen.losses.max()) < _WILD * max(seen.audits[0].loss, seen.audits[0].constant_loss)
    return varied and calm and moved > _MOVED


def _still_falls(losses: np.ndarray) -> bool:
    half, quarter = len(losses) // 2, len(losses) // 4
    return float(losses[-quarter:].mean()) < (1 - _FLAT) * float(losses[half : half + quarter].mean())
