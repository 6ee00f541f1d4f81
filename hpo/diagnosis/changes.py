"""Changes of a study file that exclude a region of its space, or widen a range."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.config.fields import Limits, setting, yaml_text
from hpo.config.parsing.load import parse_study
from hpo.config.parsing.names import names_of
from hpo.config.space import Choice, Distribution, Integer, Log
from hpo.config.study import StudySpec
from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.conditions import Condition, TrialTable
from hpo.errors import StudyFileError

Change = Mapping[str, Any]
NO_REMEDY: tuple[str, Change] = ("", {})
WIDER = 1 / 3
"""Share of its length by which a range is widened, on its scale: one decade for three decades."""


def apply_change(spec: StudySpec, change: Change) -> StudySpec:
    """Apply a JSON merge patch (RFC 7396) to the file of a study. Raises ``StudyFileError``."""
    document = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return parse_study(json.dumps(_merged(document, change)), "the changed study")


def _merged(document: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def keep_out(results: StudyResults, table: TrialTable, conditions: Sequence[Condition]) -> tuple[str, Change]:
    """Return how to exclude a region, as text and as a change; nothing if one of the best trials is in it.

    Of two conditions, the one is excluded under which fewer trials learned.
    """
    trials = results.trials
    best = {trial.number for trial in results.top}
    offers = []
    for condition in conditions:
        lost = [trial for trial, inside in zip(trials, table.holding(condition), strict=True) if inside]
        if not best.intersection(trial.number for trial in lost):
            offers.append((sum(not results.failed(trial) for trial in lost), condition))
    for _, condition in sorted(offers, key=lambda offer: offer[0]):
        text, change = _without(results.spec.space[condition.name], condition)
        change = _with_dependents(results.spec, change)
        if _is_valid(results.spec, change):
            return text, change
    if len(conditions) == 2 and not offers:
        first, second = conditions
        return (
            f"search {first} and {second} in separate studies: each is among the best without the other",
            {},
        )
    return NO_REMEDY


def _without(distribution: Distribution, condition: Condition) -> tuple[str, Change]:
    name = condition.name
    if isinstance(distribution, Choice):
        left = [value for value in distribution.choice if value != condition.value]
        if len(left) > 1:
            text = f"remove {yaml_text(condition.value)} from {name}"
            return text, {"space": {name: {"choice": left}}}
        return _fix(name, left[0])
    low, high = distribution.bounds
    low, high = (low, condition.value) if condition.kind == "above" else (condition.value, high)
    if low == high:
        return _fix(name, low)
    kind, ends = _range(distribution, low, high)
    return f"narrow {name} to {_written(kind, ends)}", {"space": {name: {kind: ends}}}


def _fix(name: str, value: Any) -> tuple[str, Change]:
    return f"fix {name} at {setting(value)}", {"fixed": {name: value}, "space": {name: None}}


def widen(results: StudyResults, name: str, upwards: bool) -> tuple[str, Change]:
    """Widen a range by a third of its length at one end, within the limits of the hyperparameter."""
    distribution = results.spec.space[name]
    assert not isinstance(distribution, Choice)
    low, high = distribution.bounds
    limits = _limits(results.spec, name)
    ends = low, beyond(distribution, limits, True)
    if not upwards:
        ends = beyond(distribution, limits, False), high
    if ends == (low, high):
        return NO_REMEDY
    kind, ends_in_file = _range(distribution, *ends)
    change = {"space": {name: {kind: ends_in_file}}}
    if not _is_valid(results.spec, change):
        return NO_REMEDY
    written = _written(kind, ends_in_file)
    return f"widen {name} {'upwards' if upwards else 'downwards'}, e.g. {written}", change


def _limits(spec: StudySpec, name: str) -> Limits:
    """Return a hyperparameter's limits; one of the user's own keeps its sign, such as a penalty from 0 on."""
    distribution = spec.space[name]
    if not spec.is_own or isinstance(distribution, Choice):
        return names_of(spec)[name].limits
    low, high = distribution.bounds
    return Limits(ge=0 if low >= 0 else None, le=0 if high <= 0 else None)


def _written(kind: str, ends: Sequence[float]) -> str:
    """Return a range as a study file spells it."""
    return f"{{{kind}: [{', '.join(map(yaml_text, ends))}]}}"


def beyond(distribution: Distribution, limits: Limits, upwards: bool) -> float:
    """Return the new end: two digits, within the limits; the old end if it is a limit."""
    assert not isinstance(distribution, Choice)
    low, high = distribution.bounds
    old = high if upwards else low
    if isinstance(distribution, Log):
        factor = (high / low) ** WIDER
        new = old * factor if upwards else old / factor
    else:
        length = max((high - low) * WIDER, 1.0 if isinstance(distribution, Integer) else 0.0)
        new = old + length if upwards else old - length
    new = float(f"{new:.2g}")
    closed, opened = (limits.le, limits.lt) if upwards else (limits.ge, limits.gt)
    if closed is not None:
        new = min(new, closed) if upwards else max(new, closed)
    if opened is not None and (new >= opened if upwards else new <= opened):
        new = (old + opened) / 2
    if isinstance(distribution, Integer):
        new = math.floor(new) if upwards else math.ceil(new)
    return new if (new > old if upwards else new < old) else old


def _range(distribution: Distribution, low: float, high: float) -> tuple[str, list[float]]:
    if isinstance(distribution, Integer):
        return "int", [int(low), int(high)]
    return "log" if isinstance(distribution, Log) else "uniform", [low, high]


def _with_dependents(spec: StudySpec, change: Change) -> Change:
    """Also remove hyperparameters that are drawn only under a choice that the change removes."""
    space, fixed = dict(change["space"]), change.get("fixed", {})
    for name, distribution in spec.space.items():
        for parent, wanted in distribution.when.items():
            left = [fixed[parent]] if parent in fixed else (space.get(parent) or {}).get("choice")
            values = wanted if isinstance(wanted, list) else [wanted]
            if left is not None and not set(values).intersection(left):
                space[name] = None
    return {**change, "space": space}


def _is_valid(spec: StudySpec, change: Change) -> bool:
    try:
        apply_change(spec, change)
    except StudyFileError:
        return False
    return True
