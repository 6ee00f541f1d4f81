"""Read ``stages:`` of a study file into ``StageSpec``s, or report its mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from hpo.config.fields import FieldType, WrongValue, as_written, field_type
from hpo.config.parsing.consistency import Draft, PrunerGiven, contradictions, pruner_problems
from hpo.config.parsing.names import BUDGET
from hpo.config.parsing.sections import NAMED_CHOICES, choice_field, read_choice
from hpo.config.parsing.yaml_tree import MappingNode, Node, Place, ScalarNode, SequenceNode
from hpo.config.study import RESERVED, STAGE_PATTERN, ConfirmationSettings, StageSpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem
from hpo.text import counted

_EXAMPLE = "e.g. - {name: coarse, trials: 20, epochs: 2}"


def _single(model: type[BaseModel]) -> dict[str, FieldType]:
    found = {name: field_type(model, name) for name in model.model_fields}
    return {name: field for name, field in found.items() if field is not None}


STAGE_KEYS: dict[str, FieldType] = _single(StageSpec) | {"pruner": choice_field(StageSpec, "pruner")}
"""Every key of a stage that has a single value."""
CONFIRM_KEYS: dict[str, FieldType] = _single(ConfirmationSettings)
"""The keys of ``confirm:``."""


def parse_stages(node: Node | None, problems: list[Problem]) -> tuple[StageSpec, ...]:
    """Read the listed stages; none, with ``problems``, if one is wrong."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return ()
    if not isinstance(node, SequenceNode) or not node.items:
        problems.append(node.place.problem("stages", "is not a list of stages", _EXAMPLE))
        return ()
    before = len(problems)
    stages: list[StageSpec] = []
    for item in node.items:
        if not isinstance(item, MappingNode):
            problems.append(item.place.problem("stages", f"{as_written(item)} is not a stage", _EXAMPLE))
            continue
        stage = _read_stage(item, problems)
        if stage is not None:
            problems += _misplaced(stage, stages, item.place)
            stages.append(stage)
    return () if len(problems) > before else tuple(stages)


def _read_stage(table: MappingNode, problems: list[Problem]) -> StageSpec | None:
    before = len(problems)
    given = _values(table, STAGE_KEYS, ("confirm",), "stages", problems)
    confirm = table.entries.get("confirm")
    if confirm is not None:
        given["confirm"] = _read_confirmation(confirm, problems)
    name = given.get("name")
    if "name" not in table.entries:
        problems.append(table.place.problem("stages", "a stage has no name", _EXAMPLE))
    elif name is not None and not STAGE_PATTERN.fullmatch(name):
        hint = "letters, digits, '.', '_' and '-', starting with a letter or digit"
        problems.append(
            table.keys["name"].problem("stages", f"{as_written(repr(name))} is not a valid stage name", hint)
        )
    if confirm is None and "trials" not in table.entries:
        problems.append(table.place.problem("stages", f"stage {name} has no trials", "e.g. trials: 20"))
    for key, hint in _WITHOUT_CONFIRM.items() if confirm is not None else ():
        if key in table.entries:
            message = f"{key} cannot be combined with confirm"
            problems.append(table.keys[key].problem("stages", message, hint))
    return StageSpec(**given) if len(problems) == before else None


_SET_BY_CONFIRM = "top, seeds and folds set the number of trials"
_WITHOUT_CONFIRM = {
    **dict.fromkeys(("trials", "keep", "space", "carry"), _SET_BY_CONFIRM),
    "pruner": "confirming trials run to the end",
}


def _read_confirmation(node: Node, problems: list[Problem]) -> ConfirmationSettings | None:
    if not isinstance(node, MappingNode):
        hint = "e.g. confirm: {top: 3, seeds: 3}"
        problems.append(node.place.problem("confirm", "needs a mapping", hint))
        return None
    before = len(problems)
    given = _values(node, CONFIRM_KEYS, (), "confirm", problems)
    if len(problems) > before:
        return None
    confirmation = ConfirmationSettings(**given)
    if confirmation.folds == 1:
        problems.append(
            node.keys["folds"].problem(
                "confirm", "folds: 1 leaves no images to train on", "2 or more, or 0 for none"
            )
        )
    elif confirmation.runs_each < 2:
        message = "one training of each configuration cannot tell luck from quality"
        problems.append(node.place.problem("confirm", message, "seeds: 2 or more, or folds: 2 or more"))
    return confirmation if len(problems) == before else None


def _values(
    table: MappingNode,
    fields: Mapping[str, FieldType],
    others: tuple[str, ...],
    where: str,
    problems: list[Problem],
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, node in table.entries.items():
        if key in fields:
            field = fields[key]
            try:
                given[key] = (
                    read_choice(key, node, field, problems) if key in NAMED_CHOICES else field.accept(node)
                )
            except WrongValue as mistake:
                problems.append(node.place.problem(key, mistake.message, mistake.hint))
        elif key not in others:
            known = [*fields, *others]
            hint = did_you_mean(key, known) or f"known: {', '.join(known)}"
            problems.append(table.keys[key].problem(where, f"unknown key {as_written(repr(key))}", hint))
    return given


def _misplaced(stage: StageSpec, before: list[StageSpec], place: Place) -> list[Problem]:
    """Report what is wrong with a stage after those before it."""
    problems = []
    if stage.name in RESERVED:
        problems.append(
            place.problem("stages", f"{stage.name} is not a valid stage name", f"{RESERVED[stage.name]}")
        )
    if any(each.name == stage.name for each in before):
        problems.append(place.problem("stages", f"there is another stage {stage.name}", "names must differ"))
    if any(each.confirm for each in before):
        message = f"{stage.name} follows the confirmation"
        problems.append(place.problem("stages", message, "confirm is the last stage"))
    elif stage.confirm:
        found = sum(each.planned for each in before)
        if found < stage.confirm.top:
            message = (
                f"{stage.name} confirms the best {stage.confirm.top}, but only "
                f"{counted(found, 'trial comes', 'trials come')} before it"
            )
            problems.append(
                place.problem("stages", message, f"top: {found} or less" if found else "search first")
            )
    return [*problems, *_without_results(stage, before, place)]


def _without_results(stage: StageSpec, before: list[StageSpec], place: Place) -> list[Problem]:
    """Report a stage that needs more earlier trials than there are."""
    found = sum(each.planned for each in before)
    if not before:
        wanted = {"space: around": stage.space == "around", "carry": stage.carry > 0}
        hint = "it is for later stages"
        return [
            place.problem("stages", f"{stage.name} has {key}, but no stage comes before it", hint)
            for key, is_wanted in wanted.items()
            if is_wanted
        ]
    most = min(found, stage.planned)
    if stage.kind == "confirm" or stage.carry <= most:
        return []
    what = (
        f"it has {counted(most, 'trial')}"
        if most < found
        else f"only {counted(found, 'trial comes', 'trials come')} before it"
    )
    message = f"{stage.name} starts with the best {stage.carry}, but {what}"
    return [place.problem("stages", message, f"carry: {most} or less")]


def stage_problems(
    node: Node | None, stages: tuple[StageSpec, ...], draft: Draft, pruner: PrunerGiven
) -> list[Problem]:
    """Report stages that contradict the study's hyperparameters or its pruner."""
    if not stages:
        return []
    assert isinstance(node, SequenceNode)
    problems = []
    if not draft.space and not draft.unreadable:
        problems.append(node.place.problem("stages", "stages need a space to search", "add space:"))
    known = {problem.message for problem in contradictions(draft)}
    for stage, item in zip(stages, node.items, strict=True):
        assert isinstance(item, MappingNode)
        for key, field, used in (
            ("epochs", "epochs", stage.epochs is not None),
            ("data", "train_images", stage.data < 1),
        ):
            if used and field in draft.space and (field == BUDGET or not draft.is_own):
                message = f"{stage.name} sets {key}, but {field} is searched"
                problems.append(item.keys[key].problem("stages", message, f"leave {field} out of space"))
        for problem in contradictions(_within(stage, draft)):
            if problem.message not in known:
                known.add(problem.message)
                problems.append(item.place.problem(problem.key, f"in stage {stage.name}: {problem.message}"))
    return [*problems, *_pruner_problems(node, stages, draft, pruner)]


def _pruner_problems(
    node: SequenceNode, stages: tuple[StageSpec, ...], draft: Draft, pruner: PrunerGiven
) -> list[Problem]:
    """A stage's own pruner must have an effect in it, the study's in one of the stages without one."""
    found, of_study = [], []
    for stage, item in zip(stages, node.items, strict=True):
        assert isinstance(item, MappingNode)
        within = _within(stage, draft)
        if stage.pruner is not None:
            own = PrunerGiven(stage.pruner.model_dump(), item.keys["pruner"])
            found += pruner_problems(own, within)
        elif stage.kind == "search":
            of_study.append(pruner_problems(pruner, within))
    return [*found, *(of_study[0] if of_study and all(of_study) else ())]


def _within(stage: StageSpec, draft: Draft) -> Draft:
    """Return the study with the settings of one stage."""
    fixed = dict(draft.fixed)
    if stage.epochs is not None and BUDGET not in draft.space:
        fixed[BUDGET] = stage.epochs
    images = None if draft.is_own else fixed.get("train_images")
    if isinstance(images, int) and "train_images" not in draft.space:
        fixed["train_images"] = share_of(images, stage.data)
    return replace(draft, fixed=fixed)


def share_of(images: int, share: float) -> int:
    """Return the number of images in a share of them, at least one."""
    return max(1, round(share * images))
