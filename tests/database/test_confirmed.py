"""What a study is said to have reached once a confirmation has chosen, not its luckiest run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from rich.console import Console
from sqlalchemy import Engine

from hpo.cli.views.run_end import print_ending
from hpo.cli.views.study import study_as_dict
from hpo.events import RunSummary
from hpo.queries.saved_queries import run_query
from hpo.queries.stages import confirmed_runs, stages_status
from hpo.queries.study import best_leader, leaderboard, list_studies, study_status
from hpo.reporting.report.data import read_report_data
from hpo.reporting.report.head import tiles
from hpo.stages.advance import advance
from hpo.storage.store import ResultsStore
from tests.conftest import NewDatabase
from tests.database.conftest import Bench
from tests.helpers.confirmed_study import Confirmed, confirmed_study
from tests.helpers.staged_study import PLANNED, STAGES, finish


@pytest.fixture
def store(new_database: NewDatabase) -> Iterator[ResultsStore]:
    with ResultsStore(new_database("sqlite")) as opened:
        yield opened


@pytest.fixture
def confirmed(store: ResultsStore) -> Confirmed:
    return confirmed_study(store)


def test_best_is_the_confirmed_configuration_with_its_mean(store: ResultsStore, confirmed: Confirmed) -> None:
    engine = store.engine
    assert leaderboard(engine, "mine", 1)[0].number == confirmed.lucky
    status = study_status(engine, "mine")
    assert (status.best_number, status.summary.best_value) == (confirmed.number, 0.9)
    assert [each.best_value for each in list_studies(engine)] == [0.9]
    assert (study_as_dict(engine, "mine")["best_number"], confirmed_runs(engine, "mine")[0]) == (
        confirmed.number,
        confirmed.best_run,
    )
    best = best_leader(engine, "mine")
    assert best is not None and (best.number, best.value) == (confirmed.number, 0.7)
    assert best.searched["rate"] == confirmed.rate
    (row,) = _rows(store, "studies")
    assert row["best"] == 0.9


def test_run_ends_with_the_confirmed_configuration(store: ResultsStore, confirmed: Confirmed) -> None:
    text = _ending(store.engine, store.url)
    assert (
        f"best  trial {confirmed.number}, val_accuracy 0.9000 "
        "(confirmed: mean of 2 trainings; 0.7000 in stage fine)\n"
    ) in text
    assert "trials of different stages are not comparable" in text


def test_report_counts_the_trials_of_all_stages(store: ResultsStore, confirmed: Confirmed) -> None:
    tile = tiles(read_report_data(store.engine, "mine"))[1]
    assert (tile.value, tile.label) == ("16 of 16", "trials have a value")


def test_saved_query_best_has_the_users_parameters(store: ResultsStore, confirmed: Confirmed) -> None:
    rows = {row["number"]: row for row in _rows(store, "best", study="mine", count=16)}
    assert json.loads(str(rows[confirmed.number]["parameters"]))["rate"] == confirmed.rate
    assert {row["stage"] for row in rows.values()} == {"coarse", "fine", "confirm"}


def test_best_of_a_study_on_images_is_the_confirmed_one_too(bench: Bench) -> None:
    study_id = bench.register(trials=PLANNED, stages=STAGES)
    finish(bench, study_id)
    status = study_status(bench.store.engine, "first")
    assert (status.best_number, status.summary.best_value) == (
        leaderboard(bench.store.engine, "first", 1)[0].number,
        leaderboard(bench.store.engine, "first", 1)[0].value,
    )
    while advance(bench.store, "first"):
        finish(bench, study_id)
    winner = stages_status(bench.store.engine, "first").winner
    assert winner is not None
    status = study_status(bench.store.engine, "first")
    assert (status.best_number, status.summary.best_value) == (winner.number, winner.mean)
    assert tiles(read_report_data(bench.store.engine, "first"))[1].value == "20 of 20"
    assert {row["parameters"] for row in _rows(bench.store, "best", study="first")} == {None}


def _rows(store: ResultsStore, name: str, **values: str | int) -> list[dict[str, object]]:
    columns, rows = run_query(store.url, name, values)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _ending(engine: Engine, url: str) -> str:
    console = Console(file=io.StringIO(), width=120, markup=False)
    with console.capture() as capture:
        print_ending(console, engine, url, RunSummary("mine", 16, 16, False, 1.0, 0), ["hpo"])
    return capture.get()
