"""Parse one entry of ``space:`` into a distribution, or report its mistakes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpo.config.fields import FieldType, Kind, WrongValue, as_written, number_text, yaml_text
from hpo.config.parsing.yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from hpo.config.space import KINDS, Distribution, Scalar
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem

ALLOWED: dict[str, tuple[str, ...]] = {
    "number": ("log", "uniform", "int", "choice"),
    "whole": ("int", "choice"),
    "flag": ("choice",),
    "word": ("choice",),
    "text": ("choice",),
    "size": ("choice",),
    "any": ("log", "uniform", "int", "choice"),
}
"""Distributions that fit each kind of field; the first is suggested."""


def read_distribution(
    field: FieldType, node: Node, known: Mapping[str, FieldType], problems: list[Problem]
) -> Distribution | None:
    """Parse the distribution of a field; ``None``, with ``problems``, if it is wrong.

    ``known`` are all hyperparameters, which a ``when`` may name.
    """
    before = len(problems)
    if not isinstance(node, MappingNode):
        hint = f"a single value belongs under fixed; a searched one is e.g. {example(field)}"
        problems.append(node.place.problem(field.name, "is not a distribution", hint))
        return None
    kind = _kind(field, node, problems)
    when = _read_when(field.name, node.entries.get("when"), known, problems)
    if kind is None:
        return None
    values = _values(field, kind, node.entries[kind], problems)
    if len(problems) > before:
        return None
    return KINDS[kind].model_validate({kind: values, "when": when})


def example(field: FieldType) -> str:
    """Return a distribution that fits the field, as in a study file."""
    if field.kind == "word":
        return f"{{choice: [{', '.join(field.words[:3])}]}}"
    if field.kind in ("flag", "text"):
        return "{choice: [true, false]}" if field.kind == "flag" else "{choice: [one, other]}"
    return "{int: [2, 8]}" if field.kind == "whole" else "{log: [1e-4, 1e-1]}"


def _kind(field: FieldType, table: MappingNode, problems: list[Problem]) -> str | None:
    kinds = [key for key in table.entries if key in KINDS]
    unknown = [key for key in table.entries if key not in KINDS and key != "when"]
    for key in unknown:
        hint = did_you_mean(key, [*KINDS, "when"]) or f"distributions are {', '.join(KINDS)}"
        problems.append(table.keys[key].problem(field.name, f"{key} is not a distribution", hint))
    if len(kinds) > 1:
        problems.append(table.place.problem(field.name, f"has {' and '.join(kinds)}; give one distribution"))
    elif not kinds and not unknown:
        problems.append(table.place.problem(field.name, "has no distribution", f"e.g. {example(field)}"))
    if len(kinds) != 1:
        return None
    if kinds[0] not in ALLOWED[field.kind]:
        message = f"{kinds[0]} does not fit {_ARTICLES[field.kind]}"
        fitting = " or ".join(ALLOWED[field.kind])
        problems.append(
            table.keys[kinds[0]].problem(field.name, message, f"use {fitting}, e.g. {example(field)}")
        )
        return None
    return kinds[0]


_ARTICLES = {
    "whole": "a whole number",
    "flag": "a boolean",
    "word": "one of a list of values",
    "text": "a string",
    "size": "a size",
}


def _values(field: FieldType, kind: str, node: Node, problems: list[Problem]) -> list[Any]:
    if kind == "choice":
        return _choices(field, node, problems)
    if not isinstance(node, SequenceNode) or len(node.items) != 2:
        problems.append(node.place.problem(field.name, f"{kind} needs two numbers", f"{kind}: [low, high]"))
        return []
    if kind == "log" and _not_positive(node.items[0]):
        message = f"a log scale cannot start at {as_written(node.items[0])}"
        hint = _of_exponents(field, node.items) or "start above 0, or use uniform"
        problems.append(node.place.problem(field.name, message, hint))
        return []
    # Bounds are numbers even if the field may be empty, and integers under int even if the field is a float.
    bound = replace(field, kind=_bound_kind(field, kind), optional=False, required=True)
    bounds = _accepted(bound, node.items, problems)
    if len(bounds) == 2 and not bounds[0] < bounds[1]:
        low, high = map(as_written, node.items)
        hint = f"{kind}: [{high}, {low}]" if bounds[0] > bounds[1] else "one value belongs under fixed"
        problems.append(
            node.place.problem(field.name, f"the lower bound {low} is not below the upper bound {high}", hint)
        )
    return bounds


def _bound_kind(field: FieldType, distribution: str) -> Kind:
    if distribution == "int":
        return "whole"
    return "number" if field.kind == "any" else field.kind


def _not_positive(node: Node) -> bool:
    return isinstance(node, ScalarNode) and isinstance(node.value, int | float) and node.value <= 0


def _of_exponents(field: FieldType, nodes: Sequence[Node]) -> str:
    """Return the range whose exponents to the base of ten the bounds would be, as a hint."""
    given = [node.value for node in nodes if isinstance(node, ScalarNode)]
    low, high = (value if isinstance(value, int | float) else math.nan for value in given)
    if not (-_LARGEST_EXPONENT <= low < min(0, high) and high <= _LARGEST_EXPONENT):
        return ""
    try:
        for value in (low, high):
            field.limits.check(10.0**value, "")
    except WrongValue:
        return ""
    bounds = ", ".join(number_text(10.0**value) for value in (low, high))
    return f"did you mean log: [{bounds}]? The bounds are values, not exponents"


_LARGEST_EXPONENT = 12


def _choices(field: FieldType, node: Node, problems: list[Problem]) -> list[Any]:
    if not isinstance(node, SequenceNode) or not node.items:
        what = "has no values" if isinstance(node, SequenceNode) else "choice needs a list"
        problems.append(node.place.problem(field.name, what, f"e.g. {example(field)}"))
        return []
    values = _accepted(field, node.items, problems)
    repeated = [yaml_text(value) for value, count in Counter(values).items() if count > 1]
    if repeated:
        problems.append(node.place.problem(field.name, f"{', '.join(repeated)} is repeated in choice"))
    return values


def _accepted(field: FieldType, nodes: Sequence[Node], problems: list[Problem]) -> list[Any]:
    values = []
    for node in nodes:
        try:
            values.append(field.accept(node))
        except WrongValue as mistake:
            problems.append(node.place.problem(field.name, mistake.message, mistake.hint))
    return values


def _read_when(
    name: str, node: Node | None, known: Mapping[str, FieldType], problems: list[Problem]
) -> dict[str, Scalar | list[Scalar]]:
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        problems.append(node.place.problem(name, "when needs a mapping", "e.g. when: {optimizer: sgd}"))
        return {}
    when: dict[str, Scalar | list[Scalar]] = {}
    for parent, wanted in node.entries.items():
        field = known.get(parent)
        if field is None:
            hint = did_you_mean(parent, known)
            problems.append(
                node.keys[parent].problem(
                    name, f"when: unknown hyperparameter {as_written(repr(parent))}", hint
                )
            )
        elif isinstance(wanted, SequenceNode):
            when[parent] = _accepted_when(name, field, wanted.items, problems)
        else:
            values = _accepted_when(name, field, [wanted], problems)
            when[parent] = values[0] if values else None
    return when


def _accepted_when(
    name: str, field: FieldType, nodes: Sequence[Node], problems: list[Problem]
) -> list[Scalar]:
    found: list[Problem] = []
    values = _accepted(field, nodes, found)
    problems.extend(
        Problem(f"when: {field.name}: {p.message}", name, p.line, p.hint, p.source) for p in found
    )
    return values


def distribution_text(distribution: Distribution) -> str:
    """Return a short description of a distribution, e.g. ``log 1e-4 to 1``."""
    if hasattr(distribution, "choice"):
        return ", ".join(map(yaml_text, distribution.choice))
    kind = next(kind for kind, cls in KINDS.items() if isinstance(distribution, cls))
    low, high = distribution.bounds
    return f"{kind} {number_text(low)} to {number_text(high)}"
