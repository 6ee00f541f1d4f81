"""Which classes does the network never name? Accuracy does not show it where classes are rare."""

from __future__ import annotations

from hpo.checks.base import note, passed, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_LEAST = 20
"""Examples of a class that are enough to tell that it is never named."""
_RARE = 0.7
"""Share of the most frequent class above which naming only it looks like success."""
_NAMED = 4


def class_recall(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge the recall of each class in the latest batches of training."""
    found = seen.data.dependence if seen.data and seen.ended else None
    if found is None or len(found.recalls) < 2 or len(found.recalls) != seen.classes:
        return []
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
    remedy = fix("rebalance", "balance the classes, or weight the loss of rare classes more")
    is_rare = max(found.counts) > _RARE * sum(found.counts) and len(missed) >= len(known) - 1
    make, cause = (warn, "class_imbalance") if is_rare else (note, "")
    return [
        make("class_recall", balanced, 0.0, message, remedy, step=seen.steps, cause=cause, confidence=0.5)
    ]
