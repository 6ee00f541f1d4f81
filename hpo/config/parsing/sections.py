"""Read the sections `needs`, `first`, `sampler` and `pruner` of a study file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from hpo.config.fields import HYPERPARAMETERS, NOT_SEARCHED, FieldType, Limits, WrongValue, as_written
from hpo.config.methods import NamedChoice, Pruner, Sampler, options_of
from hpo.config.parsing.consistency import Draft, contradictions
from hpo.config.parsing.names import listed
from hpo.config.parsing.space import distribution_text
from hpo.config.parsing.yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from hpo.config.space import Scalar
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem, UserError
from hpo.text import counted

NAMED_CHOICES: dict[str, type[NamedChoice]] = {"sampler": Sampler, "pruner": Pruner}
"""The keys whose value is a name, or a mapping of a name to its options."""
_CHOICE_EXAMPLES = {"sampler": "{tpe: {startup: 20}}", "pruner": "{asha: {reduction: 3}}"}


def choice_field(model: type[BaseModel], key: str) -> FieldType:
    """Return what the key accepts besides a mapping: the names."""
    field = model.model_fields[key]
    default = field.default.name if isinstance(field.default, NamedChoice) else field.default
    return FieldType(
        name=key,
        kind="word",
        optional=False,  # "none" is a pruner
        words=tuple(NAMED_CHOICES[key].model_fields),
        limits=Limits(),
        required=False,
        default=default,
        description=field.description or "",
    )


def read_choice(key: str, node: Node, word: FieldType, problems: list[Problem]) -> Any:
    """Read a name, or a mapping of it to its options. Raises ``WrongValue`` if it is neither."""
    return _with_options(key, node, problems) if isinstance(node, MappingNode) else word.accept(node)


def _with_options(key: str, table: MappingNode, problems: list[Problem]) -> dict[str, Any]:
    known = options_of(NAMED_CHOICES[key])
    for name in table.entries:
        if name not in known:
            hint = did_you_mean(name, known) or f"known: {', '.join(known)}"
            problems.append(table.keys[name].problem(key, f"unknown {key} {as_written(repr(name))}", hint))
    if len(table.entries) != 1:
        problems.append(table.place.problem(key, "needs one name", f"e.g. {key}: {_CHOICE_EXAMPLES[key]}"))
    given: dict[str, Any] = {}
    for name, node in table.entries.items():
        if name not in known:
            continue
        if isinstance(node, MappingNode):
            all_of = f"it has {', '.join(known[name])}" if known[name] else "it has none"
            given[name] = read_options(key, f"{name} has no option", known[name], all_of, node, problems)
        elif isinstance(node, ScalarNode) and node.value is None:
            given[name] = {}
        else:
            hint = f"e.g. {key}: {name}, or {key}: {{{name}: {{option: value}}}}"
            problems.append(node.place.problem(key, f"the options of {name} are not a mapping", hint))
    return given


def read_options(
    key: str,
    unknown: str,
    fields: Mapping[str, FieldType],
    all_of: str,
    table: MappingNode,
    problems: list[Problem],
) -> dict[str, Any]:
    """Read the single values of a mapping; ``unknown`` and ``all_of`` are message and hint for others."""
    given: dict[str, Any] = {}
    for name, node in table.entries.items():
        if name not in fields:
            hint = did_you_mean(name, fields) or all_of
            problems.append(table.keys[name].problem(key, f"{unknown} {as_written(repr(name))}", hint))
            continue
        try:
            given[name] = fields[name].accept(node)
        except WrongValue as mistake:
            problems.append(node.place.problem(name, mistake.message, mistake.hint))
    return given


TAG_PATTERN = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
GPU = "gpu"
"""The tag that every worker on a GPU has."""
_TAG_HINT = "lowercase letters, digits, '.', '_' and '-'"


def read_needs(node: Node | None, problems: list[Problem]) -> tuple[str, ...]:
    """Read the list of tags."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return ()
    if not isinstance(node, SequenceNode):
        problems.append(node.place.problem("needs", "is not a list of tags", "e.g. needs: [gpu]"))
        return ()
    found = []
    for item in node.items:
        text = item.text if isinstance(item, ScalarNode) else ""
        if TAG_PATTERN.fullmatch(text):
            found.append(text)
        else:
            shown = as_written(repr(text)) if isinstance(item, ScalarNode) else "a list or mapping"
            problems.append(item.place.problem("needs", f"{shown} is not a valid tag", _TAG_HINT))
    return tuple(dict.fromkeys(found))


def read_tags(text: str) -> frozenset[str]:
    """Parse tags such as ``gpu,big-memory``. Raises ``UserError``."""
    tags = frozenset(each.strip() for each in text.split(",") if each.strip())
    for tag in sorted(tags):
        if not TAG_PATTERN.fullmatch(tag):
            raise UserError(f"{tag!r} is not a valid tag: use {_TAG_HINT}, e.g. --tags gpu,big-memory")
    return tags


def lacking(needs: Iterable[str], tags: frozenset[str]) -> tuple[str, ...]:
    """Return the tags that a study needs and a worker lacks."""
    return tuple(each for each in needs if each not in tags)


DEFAULTS = "defaults"
_FIRST_EXAMPLE = "e.g. first: defaults, or first: [{lr: 0.05, activation: relu}]"

Given = dict[str, Scalar]


def read_first(node: Node | None, draft: Draft, problems: list[Problem]) -> tuple[Given, ...]:
    """Read the listed configurations, each with the values that it sets; the others are drawn."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return ()
    items = node.items if isinstance(node, SequenceNode) else [node]
    return tuple(_configuration(item, draft, problems) for item in items)


def first_problems(
    node: Node | None, first: tuple[Given, ...], trials: int | None, sampler: str
) -> list[Problem]:
    """Report configurations that a grid or a first stage of ``trials`` trials has no room for."""
    if node is None or not first:
        return []
    if sampler == "grid":
        hint = "leave it out, or use another sampler"
        return [node.place.problem("first", "would replace points of the grid", hint)]
    if trials is not None and len(first) > trials:
        message = (
            f"has {counted(len(first), 'configuration')}, more than the "
            f"{counted(trials, 'trial')} to start with"
        )
        return [node.place.problem("first", message, "raise trials")]
    return []


def _configuration(node: Node, draft: Draft, problems: list[Problem]) -> Given:
    if isinstance(node, ScalarNode) and node.text == DEFAULTS:
        return _defaults(node, draft, problems)
    if not isinstance(node, MappingNode) or not node.entries:
        problems.append(
            node.place.problem("first", f"{_node_text(node)} is not a configuration", _FIRST_EXAMPLE)
        )
        return {}
    before = len(problems)
    given = {name: _value(name, node, draft.known, problems) for name in node.entries}
    if len(problems) == before:
        problems += [node.place.problem("first", each.message, each.hint) for each in _clashes(draft, given)]
    return given


def _node_text(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return as_written(node)
    return "a list" if isinstance(node, SequenceNode) else "an empty mapping"


def _defaults(node: ScalarNode, draft: Draft, problems: list[Problem]) -> Given:
    """The defaults of all searched hyperparameters, as far as they lie in the space."""
    if draft.is_own:
        message = "your own training has no defaults"
        problems.append(node.place.problem("first", message, "list configurations: first: [{lr: 0.05}]"))
        return {}
    defaults = {name: draft.known[name].default for name in draft.space}
    given = {name: value for name, value in defaults.items() if draft.space[name].contains(value)}
    if not given and draft.space and not draft.unreadable:
        listed = "; ".join(f"{name} {distribution_text(each)}" for name, each in draft.space.items())
        message = f"no default lies in the space ({as_written(listed)})"
        problems.append(node.place.problem("first", message, _FIRST_EXAMPLE))
    return given


def _value(name: str, table: MappingNode, known: Mapping[str, FieldType], problems: list[Problem]) -> Scalar:
    place, node = table.keys[name], table.entries[name]
    field = known.get(name)
    if field is None:
        hint = did_you_mean(name, known) or listed(known)
        problems.append(place.problem("first", f"unknown hyperparameter {as_written(repr(name))}", hint))
        return None
    if name in NOT_SEARCHED and known is HYPERPARAMETERS:
        problems.append(place.problem("first", f"{name} cannot be set here: all trials of a study share it"))
        return None
    try:
        return field.accept(node)
    except WrongValue as mistake:
        problems.append(node.place.problem(f"first: {name}", mistake.message, mistake.hint))
        return None


def _clashes(draft: Draft, given: Given) -> list[Problem]:
    """Report rules that the study satisfies and would break with these values."""
    space = {name: each for name, each in draft.space.items() if name not in given}
    known = {problem.message for problem in contradictions(draft)}
    with_given = replace(draft, fixed={**draft.fixed, **given}, space=space)
    return [each for each in contradictions(with_given) if each.message not in known]
