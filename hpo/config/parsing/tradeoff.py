"""Read `limit` of a study file, and check it and `tradeoff` against what the training measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.config.fields import FieldType, Limits, WrongValue, as_written
from hpo.config.objective import METRIC_PATTERN, SHORT_NAMES
from hpo.config.parsing.yaml_tree import MappingNode, Node, Place, ScalarNode
from hpo.config.suggestions import did_you_mean
from hpo.config.tradeoff import QUANTITIES, direction_of
from hpo.errors import Problem

_EXAMPLE = "e.g. limit: {milliseconds: 5}"
_AMOUNT = FieldType("limit", "number", False, (), Limits(), True, None, "")
_POSITIVE = replace(_AMOUNT, limits=Limits(gt=0))
"""What the built-in training measures is above 0."""


def read_limit(node: Node | None, problems: list[Problem], *, built_in: bool) -> dict[str, float]:
    """Read the amount of each quantity; those that are wrong are left out."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return {}
    if not isinstance(node, MappingNode):
        problems.append(node.place.problem("limit", "is not a mapping of a quantity to its limit", _EXAMPLE))
        return {}
    given: dict[str, float] = {}
    for name, entry in node.entries.items():
        try:
            given[name] = float((_POSITIVE if built_in else _AMOUNT).accept(entry) or 0.0)
        except WrongValue as mistake:
            problems.append(entry.place.problem(f"limit: {name}", mistake.message, mistake.hint))
    return given


def tradeoff_problems(tree: MappingNode, given: Mapping[str, Any], *, built_in: bool) -> list[Problem]:
    """Report quantities that the training does not measure, and those whose direction is not known."""
    places = _places(tree)
    if not places:
        if given.get("tradeoff_direction") is None:
            return []
        place = tree.keys["tradeoff_direction"]
        return [place.problem("tradeoff_direction", "is set without tradeoff", "leave it out")]
    if given.get("interface") == "optuna":
        message = "cannot be combined with interface: optuna, whose objective reports one value"
        return [place.problem(key, message, "leave it out") for (key, _), place in places.items()]
    problems = []
    for (key, name), place in places.items():
        problems += _wrong_name(key, name, place, given, built_in=built_in)
    return problems or _directions(tree, given, places)


def _places(tree: MappingNode) -> dict[tuple[str, str], Place]:
    """Return where each quantity is named, by the key of the study file and the quantity."""
    places = {}
    tradeoff, limit = tree.entries.get("tradeoff"), tree.entries.get("limit")
    if isinstance(tradeoff, ScalarNode) and tradeoff.value is not None:
        places["tradeoff", tradeoff.text] = tradeoff.place
    if isinstance(limit, MappingNode):
        places |= {("limit", name): place for name, place in limit.keys.items()}
    return places


def _wrong_name(
    key: str, name: str, place: Place, given: Mapping[str, Any], *, built_in: bool
) -> list[Problem]:
    objective = given.get("objective")
    if built_in and name not in QUANTITIES:
        message = f"unknown quantity {as_written(repr(name))}"
        meant = did_you_mean(name, QUANTITIES)
        hint = meant or f"{', '.join(QUANTITIES)}; metrics only of a training of your own"
        if name in ("minutes", "memory") and key == "limit":
            hint = "limits: has minutes and memory, of a training of your own"
        return [place.problem(key, message, hint)]
    if not METRIC_PATTERN.fullmatch(name) or ":" in name:
        message = f"{as_written(repr(name))} is not a valid name of a metric"
        hint = "letters, digits, '_', '.', '/', '@' and '-', at most 100, starting with a letter or '_'"
        return [place.problem(key, message, hint)]
    if name in (objective, SHORT_NAMES.get(str(objective)), "epoch") or (
        not objective and name == "val_accuracy"
    ):
        what = "the number of a report's epoch" if name == "epoch" else "the objective"
        return [place.problem(key, f"{name} is {what}", "name another metric that the training reports")]
    return []


def _directions(
    tree: MappingNode, given: Mapping[str, Any], places: Mapping[tuple[str, str], Place]
) -> list[Problem]:
    """Report a direction that is missing, or opposite to that of what the built-in training measures."""
    direction, tradeoff = given.get("tradeoff_direction"), given.get("tradeoff")
    if direction is not None and tradeoff is None:
        place = tree.keys["tradeoff_direction"]
        return [place.problem("tradeoff_direction", "is set without tradeoff", "leave it out")]
    for (key, name), place in places.items():
        chosen = direction if name == tradeoff else None
        if direction_of(name, chosen) is None:
            message = f"whether more or less of {name} is better is not known"
            hint = f"add tradeoff: {name} and tradeoff_direction: minimize or maximize"
            return [place.problem(key, message, hint)]
        if name in QUANTITIES and direction_of(name) != direction_of(name, chosen):
            message = f"{direction} would look for the worst {name}"
            return [
                tree.keys["tradeoff_direction"].problem(
                    "tradeoff_direction", message, f"leave it out, or use {direction_of(name)}"
                )
            ]
    return []
