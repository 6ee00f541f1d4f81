"""Check ``validation``, ``groups`` and ``order`` of a study file against its data set and its space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.config.datasets import OF_FILES, is_dataset
from hpo.config.division import is_pattern, pattern
from hpo.config.fields import WrongValue, as_written
from hpo.config.parsing.consistency import Draft
from hpo.config.parsing.yaml_tree import MappingNode
from hpo.config.study import StageSpec
from hpo.errors import Problem

KEYS = ("validation", "groups", "order")


def require_valid_rule(rule: str | None) -> None:
    """Raise ``WrongValue`` for a pattern of ``groups`` or ``order`` that cannot be used."""
    if rule is None:
        return
    try:
        if not rule.strip():
            raise ValueError("is empty")
        if is_pattern(rule):
            pattern(rule)
    except ValueError as error:
        hint = r"a name, or a pattern with one part in parentheses, such as '(p\d+)_'"
        shown = as_written(f"'{rule}'")
        raise WrongValue(f"{shown} {error}", hint) from None


def division_problems(
    tree: MappingNode, given: Mapping[str, Any], draft: Draft, stages: Sequence[StageSpec]
) -> list[Problem]:
    """Report keys without an effect, and those that would compare trials on different images."""
    keys = [key for key in KEYS if given.get(key) not in (None, "auto")]
    if draft.is_own:
        hint = "your own training reads and divides its data itself"
        return [tree.keys[key].problem(key, "is for hpo's own training of images", hint) for key in keys]
    return [
        tree.keys[key].problem(key, message, hint)
        for key in keys
        for message, hint in _problems(key, given, draft, stages)
    ]


def _problems(
    key: str, given: Mapping[str, Any], draft: Draft, stages: Sequence[StageSpec]
) -> Iterator[tuple[str, str]]:
    name = draft.fixed.get("dataset", "auto")
    is_named = isinstance(name, str) and is_dataset(name) and name not in OF_FILES and ":" not in name
    if is_named and given.get(key) != "drawn":
        what = "comes without a validation split" if key == "validation" else "has no groups and no times"
        yield f"dataset: {name} {what}", "it is for images of your own: folder, table, arrays or a function"
    if "val_fraction" in draft.space and given.get(key) != "drawn":
        message = "val_fraction is searched: trials would be validated on other images, and not comparable"
        yield message, "put val_fraction under fixed" if key != "validation" else "leave val_fraction out"
    folds = next((each.confirm.folds for each in stages if each.confirm), 0)
    if folds and (key == "order" or given.get(key) == "given"):
        reason = "would train on later images" if key == "order" else "would train on that split"
        yield f"cannot be combined with folds: {folds}, which {reason}", "leave out folds, or this key"
