"""``--set key=value``: changes to a study file before it is validated."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.config.parsing.names import known_names
from hpo.config.parsing.yaml_tree import MappingNode, Node, read_tree
from hpo.config.space import KINDS
from hpo.config.study import StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem, StudyFileError


def apply_overrides(
    tree: MappingNode, overrides: Sequence[str], problems: list[Problem], option: str = "--set "
) -> MappingNode:
    """Return the study with every ``key=value`` applied in order; mistakes are added to ``problems``.

    A key is one of the file (``trials``, ``fixed.epochs``, ``space.lr.log``) or the name of a hyperparameter,
    which moves between ``fixed`` and ``space`` as its value requires. ``option`` precedes each override in
    messages.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        source = option + _source(override)
        path = key.strip().split(".")
        known = [*known_names(tree), *StudySpec.model_fields]
        if not equals:
            problems.append(
                Problem("has no =", hint=f"write key=value, e.g. {option}epochs=2", source=source)
            )
        elif not path[0]:
            problems.append(Problem("has no name before =", hint="write key=value", source=source))
        elif path[0] not in known:
            hint = did_you_mean(path[0], known)
            problems.append(Problem(f"unknown key {path[0]!r}", hint=hint, source=source))
        else:
            try:
                node = read_tree(text, source, problems, override=True)
            except StudyFileError as error:
                problems.extend(error.problems)
            else:
                tree = _changed(tree, path, node)
    return tree


def _source(override: str) -> str:
    printable = override.encode("utf-8", "backslashreplace").decode()
    return printable[:100]


def _changed(tree: MappingNode, path: list[str], node: Node) -> MappingNode:
    if path[0] not in StudySpec.model_fields:
        searched = len(path) > 1 or isinstance(node, MappingNode)
        path = ["space" if searched else "fixed", *path]
    if len(path) > 1 and path[0] in ("fixed", "space"):
        other = tree.entries.get("space" if path[0] == "fixed" else "fixed")
        if isinstance(other, MappingNode):
            tree = tree.with_entry("space" if path[0] == "fixed" else "fixed", other.without(path[1]))
    return _with_value(tree, path, node)


def _with_value(table: MappingNode, path: list[str], node: Node) -> MappingNode:
    first, *rest = path
    if rest:
        inner = table.entries.get(first)
        node = _with_value(
            inner if isinstance(inner, MappingNode) else MappingNode({}, {}, node.place), rest, node
        )
    elif first in KINDS:
        table = table.without(*KINDS)  # a new kind of distribution replaces the old one
    return table.with_entry(first, node)
