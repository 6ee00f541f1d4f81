"""Which trials are a study's best, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from hpo.artifacts.ranking import TrialsToKeep, count_better, is_to_keep, trials_to_keep
from hpo.config.study import TEST
from hpo.queries.stages import stages_status
from hpo.records import Outcome
from hpo.stages.advance import advance
from hpo.storage.fence import Lease
from hpo.storage.tables import TRIALS, TrialRow
from tests.database.conftest import Bench
from tests.helpers.staged_study import PLANNED, STAGES, finish, good


def test_the_best_by_value_and_of_equals_the_earlier(bench: Bench) -> None:
    study_id = bench.register(trials=7)
    for value in (0.5, 0.9, 0.7, 0.9):
        bench.trial(study_id, Outcome("complete", value=value))
    bench.trial(study_id, Outcome("pruned", value=0.99))
    bench.trial(study_id, Outcome("failed"))
    bench.begin(bench.claim(study_id))
    with bench.store.engine.connect() as connection:
        assert trials_to_keep(connection, study_id, 3) == TrialsToKeep(frozenset({6}), {1: 1, 3: 1, 2: 1})
        assert trials_to_keep(connection, study_id, 0).best == {}
        better = [count_better(connection, study_id, value, 6) for value in (0.4, 0.5, 0.9, 0.95)]
    assert better == [4, 4, 2, 0]


def test_trials_measured_on_the_test_images_are_kept_beside_the_best(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    for value in (0.5, 0.9, 0.6):
        bench.trial(study_id, Outcome("complete", value=value))
    with bench.store.engine.begin() as connection:
        last = select(TRIALS.c.trial_id).where(TRIALS.c.number == 2).scalar_subquery()
        connection.execute(update(TrialRow).where(TrialRow.trial_id == last).values(stage=TEST))
        assert trials_to_keep(connection, study_id, 1).best == {1: 1, 2: 1}
        assert trials_to_keep(connection, study_id, 0).best == {}


def test_an_earlier_trial_stands_before_its_equals(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    first = bench.claim(study_id)
    _, number = bench.begin(first)
    bench.trial(study_id, Outcome("complete", value=0.5))
    with bench.store.engine.connect() as connection:
        assert (number, count_better(connection, study_id, 0.5, number)) == (0, 0)
        assert count_better(connection, study_id, 0.5, 2) == 1


def test_confirmed_configurations_keep_their_finder_and_best_run(bench: Bench) -> None:
    study_id = bench.register(trials=PLANNED, stages=STAGES)

    def rule(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        """Of the two configurations, in turn, the first is lucky twice; of the other, slot 3 is best."""
        if stage != "confirm":
            return good(stage, slot, values)
        return Outcome("complete", value=[0.99, 0.1, 0.98, 0.2][slot], cause="healthy")

    finish(bench, study_id, rule)
    for _ in range(2):
        advance(bench.store, "first")
        finish(bench, study_id, rule)
    with bench.store.engine.connect() as connection:
        kept = trials_to_keep(connection, study_id, 1).best
        runs = select(TRIALS.c.number).join(TrialRow, TrialRow.trial_id == TRIALS.c.trial_id)
        lucky, better = connection.scalars(
            runs.where(TrialRow.stage == "confirm", TrialRow.slot.in_([0, 3])).order_by(TrialRow.slot)
        )
        finders = {each.number for each in stages_status(bench.store.engine, "first").confirmations}
        assert len(finders) == 2
        assert set(kept) == {lucky, better, *finders}
        assert trials_to_keep(connection, study_id, 0).best == {}

        def keeps(slot: int, value: float, count: int = 1) -> bool:
            lease = Lease(study_id, "confirm", slot, 1, None, 0, "w", 60.0)
            return is_to_keep(connection, lease, 99, value, count)

        assert [keeps(slot, 0.5) for slot in (0, 1)] == [False, True]
        assert (keeps(1, 0.2), keeps(1, 0.3, count=0), keeps(0, 1.0)) == (False, False, True)


@pytest.mark.parametrize(("keep_best", "kept"), [(0, 0), (1, 2), (5, 5)])
def test_kept_trials_has_room_for_all_that_are_confirmed(bench: Bench, keep_best: int, kept: int) -> None:
    assert bench.spec(trials=PLANNED, stages=STAGES, keep_best=keep_best).kept_trials == kept
