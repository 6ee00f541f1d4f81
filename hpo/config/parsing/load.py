"""A study file → ``StudySpec``, or all its mistakes at once: line, key, what is wrong, what would be right.

The text is parsed into a tree whose values know their lines (``yaml_tree``), overrides are applied to it
(``overrides``), each section is read (here, ``sections``, ``space``, ``stages``) and the whole is checked for
contradictions (``consistency``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hpo.config.datasets import is_dataset, similar
from hpo.config.fields import HYPERPARAMETERS, NOT_SEARCHED, FieldType, WrongValue, as_written, field_type
from hpo.config.parsing.consistency import (
    MODEL_DEPTHS,
    Draft,
    ObjectiveGiven,
    PrunerGiven,
    cmaes_problems,
    contradictions,
    drop_overridden,
    grid_problems,
    objective_problems,
    pruner_problems,
    when_problems,
)
from hpo.config.parsing.division import division_problems, require_valid_rule
from hpo.config.parsing.names import SECTIONS, is_own, known_names, typed, unknown_name
from hpo.config.parsing.overrides import apply_overrides
from hpo.config.parsing.own_training import (
    own_training_problems,
    read_command,
    read_limits,
    require_valid_trainer,
)
from hpo.config.parsing.sections import (
    NAMED_CHOICES,
    choice_field,
    first_problems,
    read_choice,
    read_first,
    read_needs,
    read_options,
)
from hpo.config.parsing.source import bundled_studies, read_source
from hpo.config.parsing.space import read_distribution
from hpo.config.parsing.stages import parse_stages, stage_problems
from hpo.config.parsing.tradeoff import read_limit, tradeoff_problems
from hpo.config.parsing.yaml_tree import MappingNode, Node, Place, ScalarNode, read_tree
from hpo.config.space import Choice, drawing_order
from hpo.config.study import NAME_PATTERN, StudySpec, planned_trials
from hpo.config.suggestions import did_you_mean
from hpo.config.thresholds import Thresholds
from hpo.errors import Problem, StudyFileError

__all__ = ["bundled_studies", "drawing_order", "load_study", "parse_study"]


def load_study(source: str, overrides: Sequence[str] = ()) -> StudySpec:
    """Load a study file or a bundled study, with ``key=value`` overrides applied.

    Raises ``UnknownStudyError`` if there is no such study, ``StudyFileError`` with all its mistakes.
    """
    text, name = read_source(source)
    return parse_study(text, name, overrides)


def parse_study(text: str, source: str, overrides: Sequence[str] = (), option: str = "--set ") -> StudySpec:
    """Parse the study in ``text``. Raises ``StudyFileError`` with all its mistakes.

    ``source`` is its name in messages; ``option`` is what precedes each override there.
    """
    problems: list[Problem] = []
    tree = read_tree(text, source, problems)
    if not isinstance(tree, MappingNode):
        raise StudyFileError(source, [*problems, _not_a_study(tree)])
    types = _types(tree) if overrides and is_own(tree) else {}
    tree = apply_overrides(tree, overrides, problems, option)
    values = _read_single_values(tree, problems)
    values["needs"] = read_needs(tree.entries.get("needs"), problems)
    draft = _read_hyperparameters(tree, types, problems)
    values["command"] = read_command(tree.entries.get("command"), problems)
    values["limits"] = read_limits(tree.entries.get("limits"), problems)
    problems += own_training_problems(tree, values, draft)
    problems += [
        *_in_both(tree),
        *_unknown_models(draft),
        *_unknown_datasets(draft),
        *when_problems(draft),
        *contradictions(draft),
    ]
    problems += objective_problems(_objective(tree, values), built_in=not draft.is_own)
    values["limit"] = read_limit(tree.entries.get("limit"), problems, built_in=not draft.is_own)
    problems += tradeoff_problems(tree, values, built_in=not draft.is_own)
    sampler = _choice_name(values.get("sampler"))
    if values.get("interface") != "optuna":  # else the space is not known yet
        problems += _sampler_problems(sampler, draft)
    stages = parse_stages(tree.entries.get("stages"), problems)
    pruner = PrunerGiven(values.get("pruner"), tree.keys.get("pruner", Place()))
    if stages:
        problems += stage_problems(tree.entries["stages"], stages, draft, pruner)
        planned = planned_trials(stages, on_images=not draft.is_own)
        problems += _other_trials(tree, values, planned)
        values |= {"stages": stages, "trials": planned}
    else:
        problems += pruner_problems(pruner, draft)
    problems += division_problems(tree, values, draft, stages)
    first = tree.entries.get("first")
    values["first"] = read_first(first, draft, problems)
    trials = stages[0].trials if stages else values.get("trials")
    problems += first_problems(first, values["first"], trials, sampler)
    if problems:
        raise StudyFileError(source, sorted(problems, key=lambda p: (bool(p.source), p.line or 0)))
    return StudySpec(**values, fixed=draft.fixed, space=draft.space)


def _not_a_study(node: Node) -> Problem:
    if isinstance(node, ScalarNode) and node.value is None:
        return Problem("is empty", hint="a study needs at least study, trials and space")
    return node.place.problem("", "is not a study", "a study file has lines such as trials: 20")


_BLOCKS = (*SECTIONS, "stages", "needs", "first", "command", "limit", "limits")
"""Keys whose value is not a single one."""


def _thresholds() -> dict[str, FieldType]:
    fields = {name: field_type(Thresholds, name) for name in Thresholds.model_fields}
    assert all(fields.values()), "every threshold is a single value"
    return {name: field for name, field in fields.items() if field is not None}


THRESHOLDS: dict[str, FieldType] = _thresholds()
"""The keys of ``checks:``."""


def _single_values() -> dict[str, FieldType]:
    infos = {name: info for name, info in StudySpec.model_fields.items() if name not in _BLOCKS}
    fields = {name: field_type(StudySpec, name) for name in infos}
    word = THRESHOLDS["preset"]
    fields["checks"] = replace(word, name="checks", description=infos["checks"].description or "")
    fields |= {key: choice_field(StudySpec, key) for key in NAMED_CHOICES}
    assert all(fields.values()), "load.py must learn to read the new key"
    return {name: field for name, field in fields.items() if field is not None}


STUDY_KEYS: dict[str, FieldType] = _single_values()
"""Every key of a study file that has a single value."""


def _read_single_values(tree: MappingNode, problems: list[Problem]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, node in tree.entries.items():
        if key in STUDY_KEYS:
            if key == "checks" and isinstance(node, MappingNode):
                all_of = "all are listed in docs/checks.md"
                given[key] = read_options(key, "unknown threshold", THRESHOLDS, all_of, node, problems)
                continue
            field = STUDY_KEYS[key]
            try:
                given[key] = (
                    read_choice(key, node, field, problems) if key in NAMED_CHOICES else field.accept(node)
                )
                if key in _FURTHER:
                    _FURTHER[key](given[key])
            except WrongValue as mistake:
                problems.append(node.place.problem(key, mistake.message, mistake.hint))
        elif key not in _BLOCKS:
            problems.append(
                tree.keys[key].problem("", f"unknown key {as_written(repr(key))}", _unknown_key_hint(key))
            )
    for name, field in STUDY_KEYS.items():
        in_stages = name == "trials" and "stages" in tree.entries
        if field.required and name not in tree.entries and not in_stages:
            problems.append(Problem("is missing", name, hint=_EXAMPLES[name]))
    return given


def _other_trials(tree: MappingNode, given: Mapping[str, Any], planned: int) -> list[Problem]:
    """Report ``trials`` if it differs from the sum of the stages."""
    if given.get("trials", planned) == planned:
        return []
    hint = "leave it out, and set the trials of each stage"
    message = f"{given['trials']} differs from the sum of the stages, {planned}"
    return [tree.entries["trials"].place.problem("trials", message, hint)]


_EXAMPLES = {"study": "e.g. study: my-first", "trials": "e.g. trials: 20"}


def _unknown_key_hint(key: str) -> str:
    if key in HYPERPARAMETERS:
        return "a hyperparameter belongs under fixed or space"
    return did_you_mean(key, [*STUDY_KEYS, *_BLOCKS]) or f"known: {', '.join(StudySpec.model_fields)}"


def _require_valid_name(name: str) -> None:
    if not NAME_PATTERN.fullmatch(name):
        hint = "letters, digits, '.', '_' and '-', at most 200, starting with a letter or digit"
        raise WrongValue(f"{as_written(repr(name))} is not a valid study name", hint)


_FURTHER: dict[str, Callable[[Any], None]] = {
    "study": _require_valid_name,
    "groups": require_valid_rule,
    "order": require_valid_rule,
    "trainer": require_valid_trainer,
}
"""What else the value of a key must be."""


def _types(tree: MappingNode) -> Mapping[str, FieldType]:
    """Return the types that the parameters of the user's own training have before any override."""
    return _read_hyperparameters(tree, {}, []).known


def _read_hyperparameters(
    tree: MappingNode, types: Mapping[str, FieldType], problems: list[Problem]
) -> Draft:
    """Read ``fixed`` and ``space``; ``types`` are those of parameters whose value is overridden."""
    draft = Draft(known_names(tree))
    _read_section(tree, "fixed", draft, partial(_read_fixed, types), problems)
    _read_section(tree, "space", draft, _read_searched, problems)
    drop_overridden(draft)
    if draft.is_own:
        draft.known = {**draft.known, **typed(draft.fixed, draft.space)}
    return draft


def _read_section(
    tree: MappingNode,
    section: str,
    draft: Draft,
    read: Callable[[Draft, FieldType, Node, list[Problem]], None],
    problems: list[Problem],
) -> None:
    node = tree.entries.get(section)
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return
    if not isinstance(node, MappingNode):
        problems.append(
            node.place.problem(section, "is not a mapping of hyperparameters", "e.g. lr: 0.05 below it")
        )
        return
    for name, entry in node.entries.items():
        field = draft.known.get(name)
        if field is None:
            problems.append(unknown_name(name, draft.known, node.keys[name], own=draft.is_own))
            continue
        draft.places[name] = node.keys[name]
        read(draft, field, entry, problems)


def _read_fixed(
    types: Mapping[str, FieldType], draft: Draft, field: FieldType, node: Node, problems: list[Problem]
) -> None:
    field = types.get(field.name, field) if node.place.source else field
    try:
        if isinstance(node, MappingNode):
            raise WrongValue("a mapping is not a single value", "a distribution belongs under space")
        draft.fixed[field.name] = field.accept(node)
    except WrongValue as mistake:
        draft.unreadable.add(field.name)
        problems.append(node.place.problem(field.name, mistake.message, mistake.hint))


def _read_searched(draft: Draft, field: FieldType, node: Node, problems: list[Problem]) -> None:
    if field.name in NOT_SEARCHED and not draft.is_own:
        place = draft.place(field.name)
        problems.append(
            place.problem(field.name, "cannot be searched", "a study has one value: put it under fixed")
        )
        draft.unreadable.add(field.name)
        return
    distribution = read_distribution(field, node, draft.known, problems)
    if distribution is None:
        draft.unreadable.add(field.name)
    else:
        draft.space[field.name] = distribution


def _in_both(tree: MappingNode) -> list[Problem]:
    fixed, space = (tree.entries.get(section) for section in SECTIONS)
    if not isinstance(fixed, MappingNode) or not isinstance(space, MappingNode):
        return []
    return [
        space.keys[name].problem(
            name, f"is both fixed ({_where(fixed.keys[name])}) and searched", "keep one of them"
        )
        for name in space.entries
        if name in fixed.entries
    ]


def _where(place: Place) -> str:
    return place.source or f"line {place.line}"


def _unknown_datasets(draft: Draft) -> list[Problem]:
    name = None if draft.is_own else draft.fixed.get("dataset")
    if not isinstance(name, str) or is_dataset(name):
        return []
    return [
        draft.place("dataset").problem("dataset", f"unknown data set {as_written(repr(name))}", similar(name))
    ]


def _unknown_models(draft: Draft) -> list[Problem]:
    if draft.is_own:
        return []
    searched = draft.space.get("model")
    names = list(searched.choice) if isinstance(searched, Choice) else [draft.fixed.get("model")]
    hint = f"bundled: {', '.join(MODEL_DEPTHS)}; your own: package.module:function"
    return [
        draft.place("model").problem(
            "model", f"unknown model {as_written(repr(name))}", did_you_mean(name, MODEL_DEPTHS) or hint
        )
        for name in names
        if isinstance(name, str) and name not in MODEL_DEPTHS and ":" not in name
    ]


def _objective(tree: MappingNode, values: Mapping[str, Any]) -> ObjectiveGiven:
    metric = values.get("objective", StudySpec.model_fields["objective"].default)
    metric_place, direction_place = (tree.keys.get(key, Place()) for key in ("objective", "direction"))
    return ObjectiveGiven(metric, values.get("direction"), metric_place, direction_place)


def _choice_name(choice: Any) -> str:
    return choice if isinstance(choice, str) else next(iter(choice or {}), "")


def _sampler_problems(sampler: str, draft: Draft) -> list[Problem]:
    find = {"grid": grid_problems, "cmaes": cmaes_problems}.get(sampler)
    return find(draft) if find else []
