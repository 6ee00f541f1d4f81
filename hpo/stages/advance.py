"""Begin the next stage of a study, evaluate a trial on the test images, or refine a study into a new one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select

from hpo.config.study import MAIN, TEST, StudySpec, own_training_message
from hpo.diagnosis.refresh import lock_study
from hpo.diagnosis.trials import FinishedTrial
from hpo.errors import UserError
from hpo.stages import wording
from hpo.stages.plan import evaluated_configuration, next_stage
from hpo.stages.results import StageResults, read_results
from hpo.stages.store import (
    StagePlan,
    add_decisions,
    add_stage,
    add_test_slot,
    main_stage,
    write_ranking,
)
from hpo.storage.engine import reading
from hpo.storage.notify import notify_idle_workers
from hpo.storage.store import ResultsStore
from hpo.storage.tables import SlotRow
from hpo.text import counted


def advance(store: ResultsStore, name: str) -> bool:
    """Begin the study's next stage if every slot is done; return whether any slot is still to be trained.

    One transaction under the study's lock: only one worker does it, and one that is killed meanwhile leaves
    the whole stage or nothing. Raises ``UnknownStudyError``.
    """

    def work(connection: Connection) -> bool:
        lock_study(connection, name)
        results = read_results(connection, name)
        if results.spec.stages and not connection.scalar(_open_slots(results.study_id)):
            plan = next_stage(results)
            if plan is not None:
                _begin(connection, results, plan)
            notify_idle_workers(connection)
        return bool(connection.scalar(_open_slots(results.study_id)))

    return store.write(work)


def _begin(connection: Connection, results: StageResults, plan: StagePlan) -> None:
    if plan.ranking:
        write_ranking(connection, results.study_id, results.last.name, plan.ranking)
    add_stage(connection, results.study_id, results.spec, results.images, plan)


def _open_slots(study_id: int) -> Select[Any]:
    return select(func.count()).where(SlotRow.study_id == study_id, SlotRow.state != "done")


def evaluate_on_test(store: ResultsStore, name: str, number: int) -> int:
    """Plan to train a trial's configuration on all images and to evaluate it on the test images.

    Returns the number of earlier test evaluations of the study, planned ones included. Raises
    ``UnknownStudyError``, and ``UserError`` for a trial that is not complete, for a study without test
    images, or if the study will evaluate
    the winner of its confirmation.
    """

    def work(connection: Connection) -> int:
        lock_study(connection, name)
        results = read_results(connection, name)
        if results.spec.is_own:
            raise UserError(own_training_message(results.spec, "has no test images"))
        trial = _complete_trial(results, name, number)
        if any(stage.confirm for stage in results.spec.stages) and TEST not in results.stages:
            raise UserError(
                f"study {name} evaluates its winner on the test images after its confirmation: wait for that"
            )
        given = evaluated_configuration(results, trial)
        earlier = results.slots.get(TEST, 0)
        if TEST in results.stages:
            add_test_slot(connection, results.study_id, earlier, given)
        else:
            plan = StagePlan(TEST, "test", {}, {}, [given])
            add_stage(connection, results.study_id, results.spec, results.images, plan)
        add_decisions(connection, results.study_id, TEST, [wording.evaluation_message(number, earlier)])
        return earlier

    return store.write(work)


def _complete_trial(results: StageResults, name: str, number: int) -> FinishedTrial:
    trial = next((each for each in results.finished.trials if each.number == number), None)
    if trial is None:
        raise UserError(f"study {name} has no finished trial {number}: `hpo status {name}` lists its trials")
    if trial.outcome != "complete" or trial.stage == TEST:
        raise UserError(
            f"trial {number} of study {name} is in stage {trial.stage} and its outcome is {trial.outcome}: "
            "only a complete trial of the search can be evaluated on the test images"
        )
    return trial


def refined_study(engine: Engine, name: str, keep: float) -> tuple[StudySpec, list[str]]:
    """Return a study that searches what its last search leaves of the space, and why, line by line.

    Raises ``UnknownStudyError``, and ``UserError`` if no trial has learned.
    """
    with reading(engine) as connection:
        results = read_results(connection, name)
    searches = [each for each in results.stages.values() if each.kind == "search"]
    stage = searches[-1] if searches else main_stage(results.spec)
    refined = results.refined(stage, keep)
    if not refined.space and not refined.fixed:
        raise UserError(f"study {name}: {refined.decisions[0].message}")
    changed = {
        "fixed": {**stage.spec.fixed, **refined.fixed},
        "space": refined.space,
        "stages": (),
        "trials": stage.spec.trials if refined.space else 1,
        "seed": results.spec.seed,
    }
    of_stage = "" if stage.name == MAIN else f", stage {stage.name}"
    trials = len(results.trials(stage.name))
    head = f"What {counted(trials, 'finished trial')} of the study {name}{of_stage} leave of its space:"
    lines = [head, *(f"  {each.message}" for each in refined.decisions)]
    return stage.spec.model_copy(update=changed), lines
