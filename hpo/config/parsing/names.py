"""The hyperparameters that a study file may name: those of the built-in training, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.config.command import NAME_LIMIT, is_parameter_name
from hpo.config.fields import HYPERPARAMETERS, FieldType, Kind, Limits, as_written
from hpo.config.parsing.yaml_tree import MappingNode, Place, ScalarNode
from hpo.config.space import Choice, Distribution, Integer, Log
from hpo.config.study import StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem

SECTIONS = ("fixed", "space")
OWN_KEYS = ("trainer", "command")
"""The keys that make a study one of the user's own training."""
BUDGET = "epochs"
"""The parameter of the user's own training that is its budget, which stages and pruners compare by."""

_FREE = FieldType(
    name="", kind="any", optional=True, words=(), limits=Limits(), required=True, default=None, description=""
)
_BUDGET_FIELD = replace(
    HYPERPARAMETERS[BUDGET], required=True, default=None, description="the budget of a trial in epochs"
)


def is_own(tree: MappingNode) -> bool:
    """Return whether a study file has a training of the user's own."""
    return any(_is_given(tree, key) for key in OWN_KEYS)


def _is_given(tree: MappingNode, key: str) -> bool:
    node = tree.entries.get(key)
    return node is not None and not (isinstance(node, ScalarNode) and node.value is None)


def known_names(tree: MappingNode) -> Mapping[str, FieldType]:
    """Return the hyperparameters that the file may name, by name.

    With a training of the user's own these are the names under ``fixed`` and ``space``.
    """
    if not is_own(tree):
        return HYPERPARAMETERS
    sections = [tree.entries.get(section) for section in SECTIONS]
    names = [name for each in sections if isinstance(each, MappingNode) for name in each.entries]
    return {name: _free(name) for name in names if is_parameter_name(name)}


def unknown_name(name: str, known: Mapping[str, FieldType], place: Place, *, own: bool) -> Problem:
    """Return the problem of a name under ``fixed`` or ``space`` that is not a hyperparameter."""
    if own:
        hint = f"letters, digits and '_', at most {NAME_LIMIT}, as a name in Python"
        return place.problem("", f"{as_written(repr(name))} is not a valid parameter name", hint)
    if name in StudySpec.model_fields:
        return place.problem("", f"{name} is not a hyperparameter", "it belongs at the top level")
    hint = did_you_mean(name, known) or (
        "all are listed in docs/study-files.md; names of your own need trainer: or command:"
    )
    return place.problem("", f"unknown hyperparameter {as_written(repr(name))}", hint)


def listed(known: Mapping[str, FieldType]) -> str:
    """Return where the known names are listed, as a hint for an unknown one."""
    if known is HYPERPARAMETERS:
        return "all are listed in docs/study-files.md"
    return f"the study has {', '.join(known)}" if known else "the study has no parameters"


def typed(fixed: Mapping[str, Any], space: Mapping[str, Distribution]) -> dict[str, FieldType]:
    """Return the parameters of a user's own training, each with the type that its values have here."""
    searched = {name: _of_distribution(name, each) for name, each in space.items()}
    return {name: _of_value(name, value) for name, value in fixed.items()} | searched


def names_of(spec: StudySpec) -> Mapping[str, FieldType]:
    """Return the hyperparameters that a study knows, by name."""
    return typed(spec.fixed, spec.space) if spec.is_own else HYPERPARAMETERS


def _free(name: str) -> FieldType:
    return _BUDGET_FIELD if name == BUDGET else replace(_FREE, name=name)


def _of_distribution(name: str, distribution: Distribution) -> FieldType:
    if name == BUDGET:
        return _BUDGET_FIELD
    if isinstance(distribution, Choice):
        kinds = {_kind(value) for value in distribution.choice if value is not None}
        numbers: Kind = "number" if kinds == {"number", "whole"} else "any"
        return _of_kind(name, kinds.pop() if len(kinds) == 1 else numbers, None in distribution.choice)
    if isinstance(distribution, Integer):
        return _of_kind(name, "whole")
    return replace(_of_kind(name, "number"), limits=Limits(gt=0 if isinstance(distribution, Log) else None))


def _of_value(name: str, value: Any) -> FieldType:
    """A fixed number may be replaced by one of another type: 0 by 1e-4."""
    kind = _kind(value) if isinstance(value, bool | str) else "any"
    return _BUDGET_FIELD if name == BUDGET else _of_kind(name, kind)


def _of_kind(name: str, kind: Kind, optional: bool = False) -> FieldType:
    return replace(_FREE, name=name, kind=kind, optional=optional or kind == "any")


def _kind(value: Any) -> Kind:
    kinds: dict[type, Kind] = {bool: "flag", str: "text", int: "whole"}
    return kinds.get(type(value), "number")
