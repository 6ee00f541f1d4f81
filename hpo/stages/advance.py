"""From the results of a study's stages to its next one: decided once, by the worker that finds one over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, insert, select, update

from hpo.config.configuration import applies
from hpo.config.study import MAIN, TEST, StageSpec, StudySpec
from hpo.diagnosis.refresh import lock_study
from hpo.diagnosis.trials import FinishedTrial, FinishedTrials, read_finished, results_of
from hpo.errors import UserError
from hpo.stages import wording as words
from hpo.stages.around import carried, drawn_around, draws_around
from hpo.stages.confirm import Confirmed, Values, confirm, run_of
from hpo.stages.refine import Refined, SpaceDecision, StageTrial, refine, same_space
from hpo.stages.store import Stage, add_stage, main_stage, read_stages, stage_fixed, stage_seed
from hpo.storage import rungs
from hpo.storage.engine import reading
from hpo.storage.notify import notify_idle_workers
from hpo.storage.store import ResultsStore
from hpo.storage.studies import KNOWN
from hpo.storage.tables import CandidateRow, DecisionRow, SlotRow, StageRow


def advance(store: ResultsStore, name: str) -> bool:
    """Begin the study's next stage if every slot is done; whether any slot is still to be trained.

    One transaction, in which nobody else does the same: a worker killed in it leaves nothing, or the whole
    stage. Raises ``UnknownStudyError``.
    """

    def work(connection: Connection) -> bool:
        lock_study(connection, name)
        finished = read_finished(connection, name)
        spec = StudySpec.model_validate(finished.spec)
        if spec.stages and not connection.scalar(_open_slots(finished.study_id)):
            _Study(connection, finished, spec).begin_next()
            notify_idle_workers(connection)
        return bool(connection.scalar(_open_slots(finished.study_id)))

    return store.write(work)


def _open_slots(study_id: int) -> Select[Any]:
    return select(func.count()).where(SlotRow.study_id == study_id, SlotRow.state != "done")


def refined(connection: Connection, finished: FinishedTrials, stage: Stage, keep: float) -> Refined:
    """What the results of a stage leave of its space."""
    stopped = rungs.stopped(connection, finished.study_id)
    return refine(stage.spec, _tried(finished, stage, stopped), keep)


def _tried(
    finished: FinishedTrials, stage: Stage, stopped: Mapping[int, tuple[int, float]]
) -> list[StageTrial]:
    """By slot: a trial's number depends on which worker was faster."""
    results = results_of(finished, stage.spec, stage.name)
    known = {each.number: each for each in finished.trials}
    tried = []
    for each in results.trials:
        epoch, best = stopped.get(known[each.number].trial_id, (None, None))
        value = each.value if each.state == "complete" else best
        tried.append(StageTrial(known[each.number].slot, value, results.failed(each), each.values, epoch))
    return sorted(tried, key=lambda each: each.slot)


@dataclass(frozen=True)
class _Found:
    """A configuration that the search found, and the best value that any trial had with it."""

    trial: FinishedTrial
    value: float
    given: dict[str, Any]


class _Study:
    """A study whose slots are all done, within the transaction that begins its next stage."""

    def __init__(self, connection: Connection, finished: FinishedTrials, spec: StudySpec) -> None:
        self.connection = connection
        self.finished = finished
        self.spec = spec
        self.study_id = finished.study_id
        assert finished.train_images is not None, "a study with stages is younger than this column"
        self.images = finished.train_images
        self.begun = read_stages(connection, self.study_id, spec)

    def begin_next(self) -> None:
        last = list(self.begun.values())[-1]
        if not self._has_slots(last.name):
            return  # the study has ended there
        if last.kind == "confirm":
            self._begin_test(last)
        elif last.kind == "search":
            following = self.spec.stages[len(self.begun) :]
            if following:
                self._begin(last, following[0])

    def _has_slots(self, name: str) -> bool:
        slots = select(func.count()).where(SlotRow.study_id == self.study_id, SlotRow.stage == name)
        return bool(self.connection.scalar(slots))

    def _begin(self, last: Stage, following: StageSpec) -> None:
        if following.confirm is not None:
            self._begin_confirmation(following)
            return
        best = self._best(following.carry)
        draws = len(best) < following.planned
        found = self._space_after(last, following) if draws else Refined(dict(last.spec.space), {}, ())
        # What is fixed stays so in the stages after.
        fixed = {**self._fixed_before(last), **found.fixed, **stage_fixed(self.spec, following, self.images)}
        if draws and not found.space and not found.fixed:
            best = []  # the study ends here
        given: list[dict[str, Any] | None] = [each.given for each in best]
        decisions = [*found.decisions]
        if best:
            decisions.append(carried([(each.trial.number, each.trial.stage, each.value) for each in best]))
        if draws and found.space and following.space == "around":
            given += self._around(following, found, fixed, given)
            decisions.append(self._drawn_around(found, last))
        elif found.space:
            given += [None] * (following.planned - len(best))
        elif found.fixed and not best:
            given = [None]  # all of it is fixed: one configuration
        self._add(following.name, "search", found.space, fixed, given)
        self._say(following.name, decisions)

    def _space_after(self, last: Stage, following: StageSpec) -> Refined:
        if following.space == "same":
            return same_space(self.spec)
        return refined(self.connection, self.finished, last, following.keep)

    def _around(
        self, following: StageSpec, found: Refined, fixed: dict[str, Any], planned: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """The configurations of the slots after those that are planned."""
        own = {"seed": stage_seed(self.spec, following.name), "space": found.space}
        spec = self.spec.model_copy(update={**own, "fixed": {**self.spec.fixed, **fixed}})
        slots = range(len(planned), following.planned)
        return draws_around(spec, [each.values for each in found.best], slots, planned)

    def _drawn_around(self, found: Refined, last: Stage) -> SpaceDecision:
        of_stage = {each.slot: each.number for each in self.finished.trials if each.stage == last.name}
        return drawn_around([of_stage[each.slot] for each in found.best], len(of_stage), last.name)

    def _fixed_before(self, stage: Stage) -> dict[str, Any]:
        """The searched hyperparameters that an earlier stage fixed."""
        return {name: stage.spec.fixed[name] for name in self.spec.space if name in stage.spec.fixed}

    def _begin_confirmation(self, following: StageSpec) -> None:
        assert following.confirm is not None
        best = self._best(following.confirm.top)
        runs = following.confirm.runs_each
        fixed = stage_fixed(self.spec, following, self.images)
        given = [best[i % len(best)].given for i in range(len(best) * runs)]
        self._add(following.name, "confirm", {}, fixed, given)
        self._say(
            following.name,
            words.chosen(
                following.confirm, [(each.trial.number, each.trial.stage, each.value) for each in best]
            ),
        )
        for candidate, found in enumerate(best):
            self.connection.execute(
                insert(CandidateRow).values(
                    study_id=self.study_id,
                    stage=following.name,
                    candidate=candidate,
                    trial_id=found.trial.trial_id,
                    search_value=found.value,
                    runs=runs,
                )
            )

    def _best(self, top: int) -> list[_Found]:
        """The best configurations of all stages, each once; of equals, the earlier stage's and slot's."""
        found: dict[str, _Found] = {}
        places = {name: place for place, name in enumerate(self.begun)}
        ranked = []
        for stage in self.begun.values():
            results = results_of(self.finished, stage.spec, stage.name)
            by_number = {each.number: each for each in self.finished.trials}
            ranked += [by_number[each.number] for each in results.ranked]
        for trial in sorted(ranked, key=lambda each: (-(each.value or 0.0), places[each.stage], each.slot)):
            given = self._given(trial)
            found.setdefault(repr(sorted(given.items())), _Found(trial, trial.value or 0.0, given))
        return list(found.values())[:top]

    def _given(self, trial: FinishedTrial) -> dict[str, Any]:
        """What makes a configuration again under the settings of another stage."""
        names = [*self.spec.space, *(name for name in trial.given if name not in self.spec.space)]
        values = {name: trial.configuration[name] for name in names}
        return {
            name: value
            for name, value in values.items()
            if value is not None and applies(name, trial.configuration)
        }

    def _begin_test(self, stage: Stage) -> None:
        assert stage.confirmation is not None
        candidates = self._candidates(stage.name)
        ranking = confirm(stage.confirmation, self._values(stage, len(candidates)))
        for each in ranking:
            self._store(stage.name, each)
        numbers = {row.candidate: (row.number, row.search_value) for row in candidates}
        best = max(
            (each for each in self._searched() if each.value is not None), key=lambda each: each.value or 0.0
        )
        again = next(each for each in self.finished.trials if each.stage == stage.name)
        as_long = _budget(best) == _budget(again)
        decisions = words.confirmed(stage.confirmation, ranking, numbers, best.value or 0.0, as_long)
        winner = ranking[0]
        wins = winner.completed == stage.confirmation.runs_each
        names = [name for name in ("epochs", "train_images") if name in stage.spec.fixed]
        fixed: dict[str, Any] = {name: stage.spec.fixed[name] for name in names}
        given = [_slot_given(self.connection, self.study_id, stage.name, winner.candidate)] if wins else []
        self._add(TEST, "test", {}, fixed, given)
        self._say(TEST, decisions)

    def plan_look(self, trial: FinishedTrial) -> int:
        """One more slot of stage ``test``; how many there were."""
        as_trained = {name: trial.configuration[name] for name in ("epochs", "train_images")}
        given = {
            **self._given(trial),
            **{name: each for name, each in as_trained.items() if each is not None},
        }
        if TEST not in self.begun:
            self._add(TEST, "test", {}, {}, [given])
            looks = 0
        else:
            of_test = SlotRow.study_id == self.study_id, SlotRow.stage == TEST
            looks = self.connection.scalar(select(func.count()).where(*of_test)) or 0
            slot = {"study_id": self.study_id, "stage": TEST, "slot": looks, "given": given}
            self.connection.execute(insert(SlotRow).values(slot))
            of_stage = StageRow.study_id == self.study_id, StageRow.stage == TEST
            self.connection.execute(update(StageRow).where(*of_stage).values(trials=looks + 1))
        place = select(func.max(DecisionRow.position)).where(
            DecisionRow.study_id == self.study_id, DecisionRow.stage == TEST
        )
        before = self.connection.scalar(place) or 0
        self._say(TEST, [words.looked_again(trial.number, looks)], before)
        return looks

    def _searched(self) -> list[FinishedTrial]:
        kinds = {name: stage.kind for name, stage in self.begun.items()}
        return [each for each in self.finished.trials if kinds[each.stage] == "search"]

    def _candidates(self, name: str) -> Sequence[Any]:
        rows = (
            select(CandidateRow.candidate, CandidateRow.search_value, KNOWN.c.number)
            .join(KNOWN, KNOWN.c.trial_id == CandidateRow.trial_id)
            .where(CandidateRow.study_id == self.study_id, CandidateRow.stage == name)
            .order_by(CandidateRow.candidate)
        )
        return self.connection.execute(rows).all()

    def _values(self, stage: Stage, candidates: int) -> list[Values]:
        assert stage.confirmation is not None
        values: list[dict[tuple[int, int | None], float | None]] = [{} for _ in range(candidates)]
        for trial in self.finished.trials:
            if trial.stage == stage.name:
                run = run_of(stage.confirmation, candidates, trial.slot)
                value = trial.value if trial.outcome == "complete" else None
                values[run.candidate][run.seed, run.fold] = value
        return list(values)

    def _store(self, stage: str, found: Confirmed) -> None:
        own = {name: value for name, value in asdict(found).items() if name != "candidate"}
        self.connection.execute(
            update(CandidateRow)
            .where(
                CandidateRow.study_id == self.study_id,
                CandidateRow.stage == stage,
                CandidateRow.candidate == found.candidate,
            )
            .values(own)
        )

    def _add(
        self,
        name: str,
        kind: Any,
        space: Mapping[str, Any],
        fixed: Mapping[str, Any],
        given: Sequence[Mapping[str, Any] | None],
    ) -> None:
        add_stage(
            self.connection, self.study_id, name, kind,
            spec=self.spec, space=space, fixed=fixed, images=self.images, given=given,
        )  # fmt: skip

    def _say(self, stage: str, decisions: Sequence[SpaceDecision], before: int = 0) -> None:
        for position, decision in enumerate(decisions, start=before + 1):
            self.connection.execute(
                insert(DecisionRow).values(
                    study_id=self.study_id, stage=stage, position=position, **asdict(decision)
                )
            )


def _budget(trial: FinishedTrial) -> tuple[int, int | None]:
    """Epochs, and images a pass where they are not all."""
    return trial.configuration["epochs"], trial.configuration["train_images"]


def _slot_given(connection: Connection, study_id: int, stage: str, slot: int) -> dict[str, Any]:
    given = select(SlotRow.given).where(
        SlotRow.study_id == study_id, SlotRow.stage == stage, SlotRow.slot == slot
    )
    return dict(connection.scalar(given) or {})


def refined_study(engine: Engine, name: str, keep: float) -> tuple[StudySpec, list[str]]:
    """The study that searches what is left of the space, and the decisions in words.

    Raises ``UnknownStudyError``, and ``UserError`` if no trial has learned.
    """
    with reading(engine) as connection:
        finished = read_finished(connection, name)
        spec = StudySpec.model_validate(finished.spec)
        begun = read_stages(connection, finished.study_id, spec).values()
        searches = [each for each in begun if each.kind == "search"]
        stage = searches[-1] if searches else main_stage(spec)
        found = refined(connection, finished, stage, keep)
    tried = sum(each.stage == stage.name for each in finished.trials)
    if not found.space and not found.fixed:
        raise UserError(f"study {name}: {found.decisions[0].message}")
    changed = {
        "fixed": {**stage.spec.fixed, **found.fixed},
        "space": found.space,
        "stages": (),
        "trials": stage.spec.trials if found.space else 1,
        "seed": spec.seed,
    }
    of_stage = "" if stage.name == MAIN else f", stage {stage.name}"
    head = f"What {tried} finished trials of the study {name}{of_stage} leave of its space:"
    return stage.spec.model_copy(update=changed), [head, *(f"  {each.message}" for each in found.decisions)]


def look_again(store: ResultsStore, name: str, number: int) -> int:
    """Plan that a trial's configuration is trained on all images and measured on the test images.

    How often the study has looked at them before, or plans to. Raises ``UnknownStudyError``, and
    ``UserError`` for a trial that is not complete, or if the study's confirmation is still to look by itself.
    """

    def work(connection: Connection) -> int:
        lock_study(connection, name)
        finished = read_finished(connection, name)
        spec = StudySpec.model_validate(finished.spec)
        trial = _complete_trial(finished, name, number)
        study = _Study(connection, finished, spec)
        if any(stage.confirm for stage in spec.stages) and TEST not in study.begun:
            raise UserError(f"study {name} measures its winner by itself once it is confirmed: wait for that")
        return study.plan_look(trial)

    return store.write(work)


def _complete_trial(finished: FinishedTrials, name: str, number: int) -> FinishedTrial:
    trial = next((each for each in finished.trials if each.number == number), None)
    if trial is None:
        raise UserError(f"study {name} has no trial {number} that is over: `hpo status {name}` lists them")
    if trial.outcome != "complete" or trial.stage == TEST:
        raise UserError(
            f"trial {number} of study {name} is of stage {trial.stage}, {trial.outcome}: only a complete "
            "trial of its search can be measured"
        )
    return trial
