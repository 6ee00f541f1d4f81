"""A study that minimizes a metric of its own: what the database stores of it, and every ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection
from sqlalchemy import text

from hpo.artifacts.ranking import count_better, trials_to_keep
from hpo.config.objective import WORST_SCORE, Objective
from hpo.errors import StudyChangedError
from hpo.maintenance.transfer.importing import import_study
from hpo.queries.frames import open_results
from hpo.queries.saved_queries import run_query
from hpo.queries.study import leaderboard, list_studies, study_curves, study_status
from hpo.queries.trial import trial_detail
from hpo.records import Decision, Outcome, Rung, RungRank, reported_epoch
from hpo.reporting.prometheus import database_metrics
from hpo.search.history import TrialHistory
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from tests.conftest import Fill
from tests.database.conftest import Bench
from tests.helpers.moving_studies import write_file

ENERGY = Objective("energy/total", "minimize")
CURVES: tuple[Mapping[str, Any], ...] = (
    {"value": -1.5, "curve": (2.0, -1.5, math.nan)},
    {"value": -3.0, "curve": (4.0, -3.0, -2.0)},
    {"value": 0.5, "curve": (0.9, 0.7, 0.5)},
)


@pytest.fixture(scope="module")
def contents() -> Fill:
    return write_three_trials


def write_three_trials(url: str) -> None:
    """Three trials, of which number 1 is the best and number 2 the worst."""
    with ResultsStore(url) as store:
        _write(Bench(store))


def _write(bench: Bench) -> None:
    study_id = bench.register(objective="energy/total", direction="minimize")
    for each in CURVES:
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        for epoch, value in enumerate(each["curve"], start=1):
            record = reported_epoch(epoch, {"energy/total": value, "val_loss": 0.1 * epoch}, 1.0)
            bench.store.record_epoch(lease, trial_id, record, ENERGY)
        best = ENERGY.best_epoch([*_records(each["curve"])])
        assert best is not None
        outcome = Outcome("complete", value=each["value"], best_epoch=best.epoch, cause="healthy")
        bench.store.finish_trial(lease, trial_id, outcome)


@pytest.fixture
def study(bench: Bench) -> int:
    """The id of the study `first` of three trials."""
    found = find_registered(bench.store.engine, "first")
    assert found is not None
    return found.study_id


def _records(values: tuple[float, ...]) -> Any:
    return (reported_epoch(epoch, {"energy/total": each}, 1.0) for epoch, each in enumerate(values, 1))


def test_optuna_knows_the_direction_and_each_epochs_value(bench: Bench, study: int) -> None:
    with bench.plain_optuna() as storage:
        assert storage.get_study_directions(study) == [StudyDirection.MINIMIZE]
    trials = bench.optuna_trials()
    assert trials[1].intermediate_values == {1: 4.0, 2: -3.0, 3: -2.0}
    assert [trial.value for trial in trials] == [-1.5, -3.0, 0.5]


def test_views_have_the_objective_its_score_and_all_metrics(bench: Bench, study: int) -> None:
    with bench.store.engine.connect() as connection:
        curve = connection.execute(
            text("SELECT value, val_loss, train_loss, lr FROM curves WHERE number = 0 ORDER BY epoch")
        ).all()
        scores = connection.execute(
            text("SELECT number, value, best_value, score FROM results ORDER BY score DESC")
        ).all()
        ranks = connection.execute(text("SELECT rank, number FROM leaderboard ORDER BY rank")).all()
        best = connection.scalar(text("SELECT best_value FROM stages"))
    assert [tuple(row) for row in curve] == [
        (2.0, 0.1, None, None), (-1.5, 0.2, None, None), (None, pytest.approx(0.3), None, None)
    ]  # fmt: skip
    assert [tuple(row) for row in scores] == [(1, -3.0, -3.0, 3.0), (0, -1.5, -1.5, 1.5), (2, 0.5, 0.5, -0.5)]
    assert [tuple(row) for row in ranks] == [(1, 1), (2, 0), (3, 2)]
    assert best == -3.0


def test_queries_rank_the_lowest_first(bench: Bench, study: int) -> None:
    engine = bench.store.engine
    assert [leader.number for leader in leaderboard(engine, "first")] == [1, 0, 2]
    status = study_status(engine, "first")
    assert (status.best_number, status.summary.best_value, status.summary.goal) == (1, -3.0, ENERGY)
    assert [summary.best_value for summary in list_studies(engine)] == [-3.0]
    assert study_curves(engine, "first", [0]) == {0: [(1, 2.0), (2, -1.5)]}
    detail = trial_detail(engine, "first", 0)
    assert detail.goal == ENERGY and detail.best_epoch == 2
    assert [ENERGY.of(epoch) for epoch in detail.curve[:2]] == [2.0, -1.5]
    assert math.isnan(ENERGY.of(detail.curve[2]))
    metrics = database_metrics(bench.store.url).decode()
    assert 'hpo_best_value{direction="minimize",objective="energy/total",study="first"} -3.0' in metrics
    assert 'hpo_best_val_accuracy{study="first"}' not in metrics


def test_weights_of_the_lowest_values_are_kept(bench: Bench, study: int) -> None:
    with bench.store.engine.connect() as connection:
        assert set(trials_to_keep(connection, study, 2).best) == {1, 0}
        better = [count_better(connection, study, ENERGY.score(value), 9) for value in (-4.0, -3.0, 0.0, 1.0)]
    assert better == [0, 1, 2, 3]


def test_saved_queries_follow_the_direction(bench: Bench, study: int) -> None:
    def answer(name: str) -> list[dict[str, Any]]:
        columns, rows = run_query(bench.store.url, name, {"study": "first"})
        return [dict(zip(columns, row, strict=True)) for row in rows]

    assert [row["number"] for row in answer("best")] == [1, 0, 2]
    assert [(row["number"], row["gain"]) for row in answer("progress")] == [(0, None), (1, 1.5)]
    assert [(row["number"], row["last_epoch_gain"]) for row in answer("still-improving")] == [
        (2, pytest.approx(0.2))
    ]
    (relu,) = answer("best-per-activation")
    assert (relu["best"], relu["best_number"]) == (-3.0, 1)
    assert [row["best"] for row in answer("best-per-choice") if row["param"] == "activation"] == [-3.0]
    assert [row["best"] for row in answer("lr-slices")] == [-3.0]
    assert [row["best"] for row in run_rows(bench, "studies")] == [-3.0]


def run_rows(bench: Bench, name: str) -> list[dict[str, Any]]:
    columns, rows = run_query(bench.store.url, name, {})
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_samplers_that_learn_see_scores(bench: Bench, study: int) -> None:
    past = TrialHistory(bench.store, study, "main").read()
    assert [(trial.score, trial.reached) for trial in past] == [(1.5, None), (3.0, 2.0), (-0.5, -0.5)]


def test_a_rung_ranks_a_hopeless_trial_behind_negative_scores(bench: Bench) -> None:
    study_id = bench.register("ranked", objective="energy/total", direction="minimize")
    seen: list[RungRank] = []

    def judge(at: RungRank) -> Decision:
        seen.append(at)
        return Decision("stopped", "")

    for score in (ENERGY.score(5.0), WORST_SCORE, ENERGY.score(7.0)):
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease)
        bench.store.judge(lease, trial_id, Rung(1, 3, 0, score), judge)
    assert [at.rank for at in seen] == [1, 2, 2]


def test_the_objective_of_a_study_cannot_change(bench: Bench, study: int) -> None:
    with pytest.raises(StudyChangedError, match='direction: "minimize" -> "maximize"'):
        bench.register(objective="energy/total", direction="maximize")


def test_a_study_as_a_file_keeps_its_direction_and_metrics(bench: Bench, study: int, tmp_path: Path) -> None:
    url = bench.store.url
    import_study(url, write_file(url, "first", tmp_path), "moved")
    assert [leader.number for leader in leaderboard(bench.store.engine, "moved")] == [1, 0, 2]
    moved, known = (trial_detail(bench.store.engine, name, 0) for name in ("moved", "first"))
    assert moved.goal == ENERGY
    assert repr(moved.curve) == repr(known.curve) and "nan" in repr(moved.curve[2].metrics)
    with bench.plain_optuna() as storage:
        assert storage.get_study_directions(storage.get_study_id_from_name("moved")) == [
            StudyDirection.MINIMIZE
        ]


def test_a_frame_of_curves_has_the_metrics(bench: Bench, study: int) -> None:
    with open_results(bench.store.url) as results:
        curves = results.curves("first")
    assert curves["metrics"][0] == {"energy/total": 2.0}
    assert curves["value"][:2].tolist() == [2.0, -1.5] and math.isnan(curves["value"][2])
