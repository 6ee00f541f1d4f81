"""A key of a study file that names a method: ``asha``, ``{asha: {reduction: 3}}``; or the mistakes in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from hpo.errors import Problem
from hpo.spec.fields import FieldType, Limits, WrongValue, show
from hpo.spec.method import Method, options_of
from hpo.spec.nearest import did_you_mean
from hpo.spec.pruner import Pruner
from hpo.spec.sampler import Sampler
from hpo.spec.yaml_tree import Leaf, Node, Table

METHODS: dict[str, type[Method]] = {"sampler": Sampler, "pruner": Pruner}
"""Every key that names a method."""
_EXAMPLES = {"sampler": "{tpe: {startup: 20}}", "pruner": "{asha: {reduction: 3}}"}


def method_word(model: type[BaseModel], key: str) -> FieldType:
    """What the key accepts beside a mapping: the names of the methods."""
    field = model.model_fields[key]
    default = field.default.name if isinstance(field.default, Method) else field.default
    return FieldType(
        name=key,
        kind="word",
        optional=False,  # none is a method
        words=tuple(METHODS[key].model_fields),
        limits=Limits(),
        required=False,
        default=default,
        description=field.description or "",
    )


def read_method(key: str, node: Node, word: FieldType, problems: list[Problem]) -> Any:
    """A method's name, or a mapping of it to its options. Raises ``WrongValue`` for what is neither."""
    return _with_options(key, node, problems) if isinstance(node, Table) else word.accept(node)


def _with_options(key: str, table: Table, problems: list[Problem]) -> dict[str, Any]:
    known = options_of(METHODS[key])
    for name in table.entries:
        if name not in known:
            hint = did_you_mean(name, known) or f"known: {', '.join(known)}"
            problems.append(table.keys[name].problem(key, f"there is no {key} {show(repr(name))}", hint))
    if len(table.entries) != 1:
        problems.append(table.place.problem(key, "needs one name", f"e.g. {key}: {_EXAMPLES[key]}"))
    given: dict[str, Any] = {}
    for name, node in table.entries.items():
        if name not in known:
            continue
        if isinstance(node, Table):
            all_of = f"it has {', '.join(known[name])}" if known[name] else "it has none"
            given[name] = read_options(key, f"{name} has no option", known[name], all_of, node, problems)
        elif isinstance(node, Leaf) and node.value is None:
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
    table: Table,
    problems: list[Problem],
) -> dict[str, Any]:
    """The single values in a mapping; ``unknown`` says that one does not exist, ``all_of`` which do."""
    given: dict[str, Any] = {}
    for name, node in table.entries.items():
        if name not in fields:
            hint = did_you_mean(name, fields) or all_of
            problems.append(table.keys[name].problem(key, f"{unknown} {show(repr(name))}", hint))
            continue
        try:
            given[name] = fields[name].accept(node)
        except WrongValue as mistake:
            problems.append(node.place.problem(name, mistake.message, mistake.hint))
    return given
