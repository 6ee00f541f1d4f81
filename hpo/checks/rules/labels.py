"""Are the labels in range, and is every class present? Both often go wrong in practice."""

from __future__ import annotations

from hpo.checks.base import fatal, note, passed, warn
from hpo.checks.derived import is_poor
from hpo.checks.facts import Fact
from hpo.checks.facts import facts as facts_of
from hpo.checks.observations import Observations, Setup
from hpo.checks.preflight import LabelFacts
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_EXPECTED = 10
"""Expected examples per class above which a missing class is not an accident: e^-10 by chance."""


def labels(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Check the range and the balance of the first labels."""
    if seen.preflight is None:
        return []
    facts, classes = seen.preflight.labels, seen.classes
    if facts.lowest < 0 or facts.highest >= classes:
        remedy = fix("fix_labels", f"number the classes from 0 to {classes - 1}")
        message = (
            f"labels go from {facts.lowest} to {facts.highest}; the {classes} outputs represent 0 to "
            f"{classes - 1}"
        )
        value = float(facts.lowest if facts.lowest < 0 else facts.highest)
        return [
            fatal("labels", value, float(classes - 1), message, remedy, cause="bad_labels", confidence=0.98)
        ]
    return [_balance(seen, facts, seen.preflight.val_labels, limits)]


def _balance(seen: Observations, facts: LabelFacts, val: LabelFacts | None, limits: Thresholds) -> Finding:
    setup = seen.setup
    expected = facts.total / len(facts.counts)
    missing = [label for label, count in enumerate(facts.counts) if count == 0]
    share = max(facts.counts) / facts.total
    remedy = fix("rebalance", "shuffle the examples and balance the classes")
    # In other loops classes may be unequal by nature, as tokens are: what was learned of them decides.
    is_own = Fact.OWN_LOOP in facts_of(seen)
    make = note if is_own and not is_poor(seen) else warn
    confidence = 0.85 if not is_own else 0.39 if is_poor(seen) else 0.3
    if missing and expected >= _EXPECTED:
        message = f"no examples of {_named(missing, setup)} among {counted(facts.total, 'label')}"
        if val is not None and _is_unused(missing, facts, val):
            message += f" and {counted(val.total, 'validation label')}: are there fewer classes than outputs?"
            remedy = Remedy("use as many outputs as there are classes, or ignore this if others come later")
            return note("labels", float(len(missing)), 0.0, message, remedy, cause="class_imbalance")
        return make(
            "labels",
            float(len(missing)),
            0.0,
            message,
            remedy,
            cause="class_imbalance",
            confidence=confidence,
        )
    if share > limits.class_share and len(facts.counts) > 2 and facts.total >= 5 * _EXPECTED:
        largest = facts.counts.index(max(facts.counts))
        message = f"{share:.0%} of {counted(facts.total, 'label')} are {_named([largest], setup)}"
        return make(
            "labels",
            share,
            limits.class_share,
            message,
            remedy,
            cause="class_imbalance",
            confidence=confidence,
        )
    message = (
        f"{counted(len(facts.counts) - len(missing), 'class')} among "
        f"{counted(facts.total, 'label')}, the largest {share:.0%}"
    )
    return passed("labels", share, limits.class_share, message)


def _is_unused(missing: list[int], facts: LabelFacts, val: LabelFacts) -> bool:
    """Whether the last classes occur in neither split, and the others in both: they cost nothing.

    Sorted or unequal examples lack others, or most classes.
    """
    used = len(facts.counts) - len(missing)
    if len(val.counts) != len(facts.counts) or used <= len(missing):
        return False
    return (
        missing[0] == used
        and val.total >= _EXPECTED * len(val.counts)
        and ([count > 0 for count in val.counts] == [count > 0 for count in facts.counts])
    )


def _named(classes: list[int], setup: Setup) -> str:
    shown = [setup.class_name(label) for label in classes]
    if len(classes) == 1:
        return f"class {shown[0]}"
    if len(classes) > 4:
        return counted(len(classes), "class")
    return f"classes {', '.join(shown)}"
