"""Decide the next stage of a study from the results of the stages before it. Pure: results → plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpo.config.study import TEST, StageSpec
from hpo.diagnosis.trials import FinishedTrial
from hpo.stages import wording
from hpo.stages.around import draws_around
from hpo.stages.confirm import confirm
from hpo.stages.refine import RankedTrial, Refined, SpaceDecision, same_space
from hpo.stages.results import FoundConfiguration, StageResults
from hpo.stages.store import Candidate, Stage, StagePlan, stage_fixed, stage_seed


def next_stage(results: StageResults) -> StagePlan | None:
    """Return the stage that follows the last one, whose slots are all done; ``None`` if the study is over."""
    last = results.last
    if not results.slots.get(last.name):
        return None
    if last.kind == "confirm":
        return _test_stage(results, last)
    following = results.spec.stages[len(results.stages) :]
    if last.kind == "test" or not following:
        return None
    stage = following[0]
    return _confirm_stage(results, stage) if stage.confirm else _search_stage(results, last, stage)


def _search_stage(results: StageResults, last: Stage, stage: StageSpec) -> StagePlan:
    carried = results.best(stage.carry)
    draws = len(carried) < stage.planned
    refined = _next_space(results, last, stage) if draws else Refined(dict(last.spec.space), {}, ())
    # A hyperparameter that an earlier stage fixed stays fixed.
    fixed = {name: last.spec.fixed[name] for name in results.spec.space if name in last.spec.fixed}
    fixed |= {**refined.fixed, **stage_fixed(results.spec, stage, results.images)}
    if draws and not refined.space and not refined.fixed:
        carried = []  # the study ends here
    given: list[dict[str, Any] | None] = [each.given for each in carried]
    decisions: list[SpaceDecision] = [*refined.decisions]
    if carried:
        decisions.append(wording.carry(_ranked(carried)))
    if draws and refined.space and stage.space == "around":
        given += _around(results, stage, refined, fixed, given)
        slots = {each.slot: each.number for each in results.trials(last.name)}
        centers = [slots[each.slot] for each in refined.best]
        decisions.append(wording.around(centers, len(slots), last.name))
    elif refined.space:
        given += [None] * (stage.planned - len(given))
    elif refined.fixed and not carried:
        given = [None]  # every hyperparameter is fixed: one configuration
    return StagePlan(stage.name, "search", refined.space, fixed, given, decisions)


def _next_space(results: StageResults, last: Stage, stage: StageSpec) -> Refined:
    return same_space(results.spec) if stage.space == "same" else results.refined(last, stage.keep)


def _around(
    results: StageResults, stage: StageSpec, refined: Refined, fixed: dict[str, Any], planned: Sequence[Any]
) -> list[dict[str, Any]]:
    """The configurations of the slots after those that are planned."""
    changed = {
        "seed": stage_seed(results.spec, stage.name),
        "space": refined.space,
        "fixed": {**results.spec.fixed, **fixed},
    }
    slots = range(len(planned), stage.planned)
    best = [each.values for each in refined.best]
    return draws_around(results.spec.model_copy(update=changed), best, slots, planned)


def _confirm_stage(results: StageResults, stage: StageSpec) -> StagePlan:
    assert stage.confirm is not None
    best = results.best(stage.confirm.top)
    runs = stage.confirm.runs_each
    return StagePlan(
        stage.name,
        "confirm",
        {},
        stage_fixed(results.spec, stage, results.images),
        [each.given for _ in range(runs) for each in best],
        wording.candidates(stage.confirm, _ranked(best), results.spec.goal, results.spec.tradeoffs.within),
        [Candidate(each.trial.trial_id, each.value, runs) for each in best],
    )


def _test_stage(results: StageResults, confirmed: Stage) -> StagePlan:
    """The winner of the confirmation, trained on all images and evaluated on the test images.

    Without trials if no candidate is confirmed, or for the user's own training, which has no test images.
    """
    settings = confirmed.confirmation
    assert settings is not None
    goal = results.spec.goal
    ranking = confirm(settings, results.confirmed_values(confirmed), goal)
    found = {each.candidate: (each.number, each.search_value) for each in results.candidates}
    best = results.best_of_search()
    same_budget = _budget(results, best) == _budget(results, results.trials(confirmed.name)[0])
    winner = ranking[0]
    tested = results.spec.has_test and winner.completed == settings.runs_each
    names = [name for name in ("epochs", "train_images") if name in confirmed.spec.fixed]
    return StagePlan(
        TEST,
        "test",
        {},
        {name: confirmed.spec.fixed[name] for name in names},
        [results.candidates[winner.candidate].given] if tested else [],
        wording.confirmation_result(settings, ranking, found, best.value or 0.0, same_budget, goal, tested),
        ranking=ranking,
    )


def _ranked(found: Sequence[FoundConfiguration]) -> list[RankedTrial]:
    return [(each.trial.number, each.trial.stage, each.value) for each in found]


def _budget(results: StageResults, trial: FinishedTrial) -> tuple[int | None, int | None, float]:
    """Epochs, training images if not all are used, and the share of the data that its stage used."""
    values = trial.configuration
    images = None if results.spec.is_own else values["train_images"]
    return values.get("epochs"), images, results.stages[trial.stage].data


def evaluated_configuration(results: StageResults, trial: FinishedTrial) -> dict[str, Any]:
    """Return what a slot of stage ``test`` trains to evaluate this trial on the test images."""
    as_trained = {name: trial.configuration[name] for name in ("epochs", "train_images")}
    return {
        **results.given(trial),
        **{name: each for name, each in as_trained.items() if each is not None},
    }
