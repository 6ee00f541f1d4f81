"""Which trials are a study's best, on both databases."""

from __future__ import annotations

from sqlalchemy import select, update

from hpo.artifacts.ranking import TrialsToKeep, count_better, trials_to_keep
from hpo.config.study import TEST
from hpo.records import Outcome
from hpo.storage.tables import TRIALS, TrialRow
from tests.database.conftest import Bench


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
