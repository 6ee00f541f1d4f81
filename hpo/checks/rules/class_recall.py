"""Which classes does the network never name? Accuracy does not show it where classes are rare."""

from __future__ import annotations

import math

from hpo.checks.base import note, passed, warn
from hpo.checks.data_facts import Dependence
from hpo.checks.facts import Fact, facts, loss_kind
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_REMEDY = fix("rebalance", "balance the classes, or weight the loss of rare classes more")
_CAUSE = "class_imbalance"
_SELDOM = 0.2
"""Recall of all other classes together."""
_LEAST = 20
"""Examples of a class that are enough to tell that it is never named."""
_RARE = 0.7
"""Share of the most frequent class above which naming only it looks like success."""
_NAMED = 4
_MANY = 100
_LOPSIDED, _FEW = 0.95, 5
"""Share of the most frequent class of a training set that is about one class; examples of the others."""
_BINARY = ("bce", "bce_of_probabilities")


def _are_classes(seen: Observations, number: int) -> bool:
    """Whether the outputs are those of so many exclusive classes, or of two by one number."""
    if Fact.CLASSIFICATION in facts(seen) and number == seen.classes:
        return True
    is_single = len(seen.output) == 1 or seen.output[1:] == (1,)
    return is_single and number == 2 and (loss_kind(seen) in _BINARY or seen.setup.classes == 2)


def _is_validated(seen: Observations) -> bool:
    return any(math.isfinite(each) for each in seen.accuracies()) and seen.setup.optimizers < 2


def _one_class(seen: Observations) -> Finding:
    message = "all labels of the training batches are the same: there is nothing to tell apart"
    return warn("class_recall", 1.0, 1.0, message, _REMEDY, step=seen.steps, cause=_CAUSE, confidence=0.85)


def _hardly_any(seen: Observations, found: Dependence) -> bool:
    """Whether nearly all training examples are of one class, and the others are not learned."""
    others = sum(found.counts) - max(found.counts)
    most = found.counts.index(max(found.counts))
    recalled = sum(
        count * recall
        for number, (count, recall) in enumerate(zip(found.counts, found.recalls, strict=True))
        if number != most and count
    )
    return found.largest > _LOPSIDED and others >= _FEW and recalled < _SELDOM * others


def _lopsided(seen: Observations, found: Dependence) -> Finding:
    message = f"{found.largest:.1%} of the training labels are one class, and hardly any other is ever named"
    return warn(
        "class_recall",
        found.largest,
        _LOPSIDED,
        message,
        _REMEDY,
        step=seen.steps,
        cause=_CAUSE,
        confidence=0.8,
    )


def class_recall(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge the recall of each class in the latest batches of training."""
    found = seen.data.dependence if seen.data and seen.ended else None
    if found is None:
        return []
    if found.largest == 1 and max(found.counts, default=0) >= _MANY and _is_validated(seen):
        return [_one_class(seen)]
    if len(found.recalls) < 2 or not _are_classes(seen, len(found.recalls)):
        return []
    if _hardly_any(seen, found):
        return [_lopsided(seen, found)]
    known = [number for number, count in enumerate(found.counts) if count >= _LEAST]
    missed = [number for number in known if found.recalls[number] == 0]
    balanced = sum(found.recalls[number] for number in known) / len(known) if known else 0.0
    if not known:
        return []
    if not missed:
        message = f"balanced accuracy on the latest training batches is {balanced:.3f}; every class is named"
        return [passed("class_recall", balanced, 0.0, message, step=seen.steps)]
    names = ", ".join(seen.setup.class_name(number) for number in missed[:_NAMED])
    more = (
        f" and {counted(len(missed) - _NAMED, 'other class', 'other classes')}"
        if len(missed) > _NAMED
        else ""
    )
    message = f"class {names}{more} is never predicted right in the latest training batches: "
    message += f"balanced accuracy is {balanced:.3f}"
    is_rare = (
        Fact.CLASSIFICATION in facts(seen)
        and max(found.counts) > _RARE * sum(found.counts)
        and len(missed) >= len(known) - 1
    )
    make, cause = (warn, _CAUSE) if is_rare else (note, "")
    return [
        make("class_recall", balanced, 0.0, message, _REMEDY, step=seen.steps, cause=cause, confidence=0.5)
    ]
