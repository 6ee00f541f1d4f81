"""``key=value`` pairs → a configuration to train instead of a draw, and what to know about its values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.config.fields import NOT_SEARCHED, as_written, setting, yaml_text
from hpo.config.parsing.load import parse_study
from hpo.config.parsing.names import listed, names_of
from hpo.config.parsing.space import distribution_text
from hpo.config.study import StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import UserError


def read_assignments(spec: StudySpec, pairs: Sequence[str]) -> dict[str, Any]:
    """Read a configuration from ``key=value`` pairs.

    Values may lie outside the study's space, but must fit their fields and whatever the study may draw with
    them, and each must have an effect. Raises ``UserError``; for mistakes in values ``StudyFileError`` with
    all of them.
    """
    names = [pair.partition("=")[0].strip() for pair in pairs]
    for name, pair in zip(names, pairs, strict=True):
        if not name:
            raise UserError(f"{as_written(repr(pair))} has no name before =: write key=value, e.g. epochs=2")
        _require_hyperparameter(spec, name)
    for name in names:
        if names.count(name) > 1:
            given = ", ".join(pair for pair, each in zip(pairs, names, strict=True) if each == name)
            raise UserError(f"{name} is given more than once ({as_written(given)}): keep one")
    # Without `first`, which has no part in this trial.
    document = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"first"})
    changed = parse_study(json.dumps(document), f"{spec.study} with these values", pairs, option="")
    for name in names:
        if name not in changed.fixed:
            raise UserError(f"{name} needs one value here, e.g. {name}={_example(spec, name)}")
    values = {name: changed.fixed[name] for name in names}
    for reason in ineffective(spec, values):
        raise UserError(reason)
    return values


def _example(spec: StudySpec, name: str) -> str:
    usual = {**spec.hyperparameters.defaults, **spec.fixed}
    return setting(usual[name] if name in usual else spec.space[name].draw(0.5))


def _require_hyperparameter(spec: StudySpec, name: str) -> None:
    known = names_of(spec)
    if name in NOT_SEARCHED and not spec.is_own:
        raise UserError(f"{name} cannot be set here: all trials of a study share it")
    if name not in known:
        hint = did_you_mean(name, known) or listed(known)
        raise UserError(f"unknown hyperparameter {name!r} ({hint})")


def ineffective(spec: StudySpec, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a given value changes nothing, whatever the study draws with it."""
    for name in given:
        for parent, allowed in _conditions(spec, name):
            if _possible(spec, given, parent).isdisjoint(allowed):
                here = "" if parent in given else " (as in this study)"
                had = ", ".join(map(setting, sorted(_possible(spec, given, parent), key=repr)))
                yield (
                    f"{name} has no effect with {parent} {had}{here}: leave it out, or set {parent} to "
                    f"{_alternatives(allowed)}"
                )
                break


def surprises(spec: StudySpec, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what sets a given configuration apart from those that the study draws."""
    for name, value in given.items():
        distribution = spec.space.get(name)
        if distribution is None and value != _usual(spec, name):
            usual = setting(_usual(spec, name))
            yield f"{name} is not searched: the study's other trials have {name} {usual}"
        elif distribution is not None and not distribution.contains(value):
            space = distribution_text(distribution)
            yield f"{name} {setting(value)} is outside of the study's space ({space})"
        for parent, allowed in _conditions(spec, name):
            possible = _possible(spec, given, parent)
            if not possible <= set(allowed) and not possible.isdisjoint(allowed):
                yield f"{name} has no effect unless {parent}, which is drawn, is {_alternatives(allowed)}"


def _conditions(spec: StudySpec, name: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield each field on which a field's effect depends, and the values that it needs."""
    for parent, allowed in spec.hyperparameters.conditions(name).items():
        yield parent, allowed
        yield from _conditions(spec, parent)


def _possible(spec: StudySpec, given: Mapping[str, Any], name: str) -> set[Any]:
    if name in given:
        return {given[name]}
    return set(spec.space[name].extremes()) if name in spec.space else {_usual(spec, name)}


def _usual(spec: StudySpec, name: str) -> Any:
    return {**spec.hyperparameters.defaults, **spec.fixed}[name]


def _alternatives(values: Sequence[Any]) -> str:
    return " or ".join(map(yaml_text, values))
