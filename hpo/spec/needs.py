"""``needs:`` of a study file, and the tags of the workers that may serve it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpo.errors import Problem, UserError
from hpo.spec.fields import show
from hpo.spec.yaml_tree import Items, Leaf, Node

TAG_PATTERN = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
GPU = "gpu"
"""The tag that a worker on a GPU has by itself."""
_HINT = "small letters, digits, '.', '_' and '-'"


def read_needs(node: Node | None, problems: list[Problem]) -> tuple[str, ...]:
    """The tags that ``node`` lists."""
    if node is None or (isinstance(node, Leaf) and node.value is None):
        return ()
    if not isinstance(node, Items):
        problems.append(node.place.problem("needs", "is not a list of tags", "e.g. needs: [gpu]"))
        return ()
    found = []
    for item in node.items:
        text = item.text if isinstance(item, Leaf) else ""
        if TAG_PATTERN.fullmatch(text):
            found.append(text)
        else:
            shown = show(repr(text)) if isinstance(item, Leaf) else "a list or mapping"
            problems.append(item.place.problem("needs", f"{shown} is no tag", _HINT))
    return tuple(dict.fromkeys(found))


def read_tags(text: str) -> frozenset[str]:
    """The tags in ``gpu,big-memory``; raises ``UserError``."""
    tags = frozenset(each.strip() for each in text.split(",") if each.strip())
    for tag in sorted(tags):
        if not TAG_PATTERN.fullmatch(tag):
            raise UserError(f"{tag!r} is no tag: use {_HINT}, e.g. --tags gpu,big-memory")
    return tags


def lacking(needs: Iterable[str], tags: frozenset[str]) -> tuple[str, ...]:
    """What a worker with these tags lacks for a study."""
    return tuple(each for each in needs if each not in tags)
