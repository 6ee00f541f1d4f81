"""``first:`` of a study file: known configurations, tried before any is drawn."""

from __future__ import annotations

from dataclasses import replace

from hpo.errors import Problem
from hpo.spec.crosscheck import Draft, contradictions
from hpo.spec.distributions import describe
from hpo.spec.fields import HYPERPARAMETERS, NOT_SEARCHED, WrongValue, show
from hpo.spec.nearest import did_you_mean
from hpo.spec.space import Choice, Distribution, Integer, Scalar
from hpo.spec.yaml_tree import Items, Leaf, Node, Table

DEFAULTS = "defaults"
_EXAMPLE = "e.g. first: defaults, or first: [{lr: 0.05, activation: relu}]"

Given = dict[str, Scalar]


def read_first(node: Node | None, draft: Draft, problems: list[Problem]) -> tuple[Given, ...]:
    """The configurations that ``node`` lists, each with the values that it gives; the others are drawn."""
    if node is None or (isinstance(node, Leaf) and node.value is None):
        return ()
    items = node.items if isinstance(node, Items) else [node]
    return tuple(_configuration(item, draft, problems) for item in items)


def first_problems(
    node: Node | None, first: tuple[Given, ...], trials: int | None, sampler: str
) -> list[Problem]:
    """What is wrong with as many of them in a study, or a first stage, of ``trials`` trials."""
    if node is None or not first:
        return []
    if sampler == "grid":
        hint = "leave it out, or use another sampler"
        return [node.place.problem("first", "would take the place of points of the grid", hint)]
    if trials is not None and len(first) > trials:
        message = f"has {len(first)} configurations, more than the {trials} trials to begin with"
        return [node.place.problem("first", message, "raise trials")]
    return []


def _configuration(node: Node, draft: Draft, problems: list[Problem]) -> Given:
    if isinstance(node, Leaf) and node.text == DEFAULTS:
        return _defaults(node, draft, problems)
    if not isinstance(node, Table) or not node.entries:
        problems.append(node.place.problem("first", f"{_kind(node)} is no configuration", _EXAMPLE))
        return {}
    before = len(problems)
    given = {name: _value(name, node, problems) for name in node.entries}
    if len(problems) == before:
        problems += [node.place.problem("first", each.message, each.hint) for each in _clashes(draft, given)]
    return given


def _kind(node: Node) -> str:
    if isinstance(node, Leaf):
        return show(node)
    return "a list" if isinstance(node, Items) else "an empty mapping"


def _defaults(node: Leaf, draft: Draft, problems: list[Problem]) -> Given:
    """What the study searches, at its defaults, as far as they lie in its space."""
    defaults = {name: HYPERPARAMETERS[name].default for name in draft.space}
    given = {name: value for name, value in defaults.items() if _holds(draft.space[name], value)}
    if not given and draft.space and not draft.unreadable:
        listed = "; ".join(f"{name} {describe(each)}" for name, each in draft.space.items())
        message = f"no default lies in the space ({show(listed)})"
        problems.append(node.place.problem("first", message, _EXAMPLE))
    return given


def _holds(distribution: Distribution, value: Scalar) -> bool:
    if isinstance(distribution, Choice | Integer):
        return distribution.can_be(value)
    low, high = distribution.bounds
    return isinstance(value, int | float) and low <= value <= high


def _value(name: str, table: Table, problems: list[Problem]) -> Scalar:
    place, node = table.keys[name], table.entries[name]
    field = HYPERPARAMETERS.get(name)
    if field is None:
        hint = did_you_mean(name, HYPERPARAMETERS) or "all of them: docs/study-files.md"
        problems.append(place.problem("first", f"there is no hyperparameter {show(repr(name))}", hint))
        return None
    if name in NOT_SEARCHED:
        problems.append(place.problem("first", f"{name} cannot be given: all trials of a study share it"))
        return None
    try:
        return field.accept(node)
    except WrongValue as mistake:
        problems.append(node.place.problem(f"first: {name}", mistake.message, mistake.hint))
        return None


def _clashes(draft: Draft, given: Given) -> list[Problem]:
    """Rules that the study keeps, and would break with these values."""
    space = {name: each for name, each in draft.space.items() if name not in given}
    known = {problem.message for problem in contradictions(draft)}
    with_given = replace(draft, fixed={**draft.fixed, **given}, space=space)
    return [each for each in contradictions(with_given) if each.message not in known]
