"""Have the labels anything to do with the inputs, or with what the network computes from them?

Zhang et al. 2017, Understanding deep learning requires rethinking generalization: networks fit random
labels, but only by memorizing. The first epoch shows it: its examples are new to the network.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hpo.checks.base import warn
from hpo.checks.data_facts import Dependence
from hpo.checks.derived import val_chance
from hpo.checks.facts import loss_kind, task
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_NOTHING, _SOMETHING = 3.0, 6.0
"""Standard deviations above independence. Sound programs end with 20 and more."""
_CLEAR, _INDEPENDENT = 20.0, 1.5
"""The same for labels that clearly depend on inputs in training and do not in validation."""
_VAL_EXAMPLES = 100
"""Sound programs have 5 and more with this many."""
_EXAMPLES, _OUTPUTS = 50, 200
_SPREAD = 0.1
"""Deviation of outputs between examples over their size, below which they ignore their inputs."""
_MOVED = 0.03
"""Change of the weights over their first norm, below which nothing was tried yet."""
_ONE_CLASS = 0.98
"""Share of the most frequent label above which the others are too few to tell."""
_FLAT = 0.9
"""Share of a constant answer's loss above which nothing was learned."""
_ABOVE = 2.0
"""The same, above which a training has not come down to it yet: it tells nothing of the labels."""
_LAST = 20
_KINDS = frozenset({"mse", "bce", "bce_of_probabilities", "cross_entropy", "nll", "ctc"})
_TASKS = (None, "classification", "multilabel", "regression", "segmentation", "language_model")


def unrelated_labels(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge, at the end, labels that nothing in training depends on."""
    if seen.data is None or not seen.ended or task(seen) not in _TASKS:
        return []
    found = seen.data.dependence
    if found.inputs > _CLEAR and found.val_inputs < _INDEPENDENT and found.val_examples >= _VAL_EXAMPLES:
        return [_mismatch(found, seen.steps)]
    if found.inputs > _SOMETHING or found.largest > _ONE_CLASS:
        return []
    is_unrelated = found.inputs < _NOTHING and found.examples >= _EXAMPLES
    if is_unrelated and found.val_inputs > _SOMETHING:
        message = (
            f"labels depend on inputs in validation ({found.val_inputs:.0f} standard deviations above "
            f"independence) but not in training ({found.inputs:.1f})"
        )
        return [_warn(found.inputs, message, seen.steps, 0.9)]
    if not found.moved > _MOVED:
        return []
    if _is_never_predicted(found) and _fails(seen, limits):
        message = (
            "outputs have nothing to do with the labels of examples that are new to the network: they are "
            f"{found.first_outputs:.1f} standard deviations above independence"
        )
        in_both = is_unrelated and found.val_inputs < _NOTHING and found.val_examples >= _VAL_EXAMPLES
        if in_both:
            message += "; in neither split do labels depend on inputs"
        return [_warn(found.first_outputs, message, seen.steps, 0.9 if in_both else 0.65)]
    if is_unrelated and _is_constant(seen):
        message = (
            f"labels do not depend on inputs ({found.inputs:.1f} standard deviations above independence)"
        )
        message += ", and the loss ends at that of a constant answer"
        return [_warn(found.inputs, message, seen.steps, 0.65)]
    return []


def _mismatch(found: Dependence, step: int) -> Finding:
    message = (
        f"labels depend on inputs in training ({found.inputs:.0f} standard deviations above independence), "
        f"but not in validation ({found.val_inputs:.1f})"
    )
    return warn(
        "unrelated_labels",
        found.val_inputs,
        _INDEPENDENT,
        message,
        fix("same_normalization", "prepare validation inputs and labels exactly like those of training"),
        step=step,
        cause="train_val_mismatch",
        confidence=0.85,
    )


def _is_never_predicted(found: Dependence) -> bool:
    is_varied = found.spread > _SPREAD
    return is_varied and found.first_outputs < _NOTHING and found.first_examples >= _OUTPUTS


def _fails(seen: Observations, limits: Thresholds) -> bool:
    """Whether the end is no better: in validation, or, where that is unknown, on training examples."""
    assert seen.data is not None
    chance = val_chance(seen) if seen.classes > 1 else None
    if chance is not None and seen.data.dependence.largest > chance.accuracy:
        chance = replace(chance, accuracy=seen.data.dependence.largest)
    best = max((each for each in seen.accuracies() if math.isfinite(each)), default=math.nan)
    if chance is not None and math.isfinite(best):
        return chance.standing(best, limits.chance_sigmas) == "at_chance"
    return seen.data.dependence.last_outputs < _NOTHING


def _is_constant(seen: Observations) -> bool:
    assert seen.data is not None
    last = float(seen.losses[-_LAST:].mean()) if seen.steps >= _LAST else math.nan
    constant = seen.data.dependence.constant_loss
    if math.isnan(constant) and seen.labels is not None:
        constant = seen.labels.variance
    is_known = loss_kind(seen) in _KINDS or any(
        each.kinds() and each.kinds() <= _KINDS for each in seen.loss_graphs
    )
    return is_known and _FLAT * constant < last < _ABOVE * constant


def _warn(value: float, message: str, step: int, confidence: float) -> Finding:
    remedy = fix("fix_labels", "inspect inputs with their labels: they may have been shuffled separately")
    return warn(
        "unrelated_labels",
        value,
        _NOTHING,
        message,
        remedy,
        step=step,
        cause="labels_do_not_match",
        confidence=confidence,
    )
