"""Real studies with a limit: trials beyond it end before they are trained, and the best is within it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.config.parsing.load import parse_study
from hpo.events import Event
from hpo.queries.study import best_leader
from hpo.reporting.dashboard.annotations import Annotations
from hpo.reporting.report.build import make_report
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.trainer.process import end_trainer_process
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study
from tests.conftest import NewDatabase
from tests.helpers.own_training import rows

STUDY = """
study: within
tradeoff: milliseconds
limit: {parameters: 9000, milliseconds: 5000, images_per_second: 0.001}
trials: 4
checks: off
fixed: {dataset: synthetic, train_images: 120, depth: 2, batch_size: 20, precision: fp32, epochs: 2,
        val_fraction: 0.02}
space: {width: {int: [2, 64]}}
first: [{width: 3}, {width: 64}, {width: 4}, {width: 48}]
pruner: {asha: {reduction: 2}}
"""
TRAINER = """
def run(trial):
    for epoch in trial.epochs():
        if trial["does"] == "silent":
            trial.report(f1=0.9)
        else:
            trial.report(f1=0.5 + trial["size"] / 100, latency_ms=float(trial["size"]))
"""
OWN = """
study: own
trainer: limited_train:run
objective: f1
limit: {latency_ms: 5}
fixed: {epochs: 2}
space: {does: {choice: [reporting, silent]}, size: {int: [1, 9]}}
first: [{does: reporting, size: 3}, {does: reporting, size: 8}, {does: silent, size: 1}]
trials: 3
"""
RESULTS = """
    SELECT number, state, value, epochs_done, cause, verdict, milliseconds FROM results WHERE study = :study
    ORDER BY number
"""


def run(url: str, text: str, name: str) -> None:
    events: list[Event] = []
    with ResultsStore(url) as store:
        submit_study(store, parse_study(text, name))
    serve(WorkOrder(url, (name,), "cpu", 1), events.append, lambda: None, lambda _: None)


def test_a_network_beyond_the_limit_is_not_trained(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    run(url, STUDY, "within")
    found: list[Any] = rows(url, RESULTS, study="within")
    assert [row[1] for row in found] == ["complete", "pruned", "complete", "pruned"]
    assert [row[3] or 0 for row in found] == [2, 0, 2, 0]
    assert all(row[6] > 0 for row in found)
    beyond = [row for row in found if row[1] == "pruned"]
    assert {row[4] for row in beyond} == {"beyond_limit"} and {row[2] for row in beyond} == {None}
    assert all(row[5].endswith("parameters, more than 9,000") for row in beyond)
    with ResultsStore(url) as store:
        best = best_leader(store.engine, "within")
        registered = find_registered(store.engine, "within")
        assert best is not None and best.number in (0, 2)
        assert registered is not None
    report = make_report(url, "within", "md", "pictures")
    assert "## Trade-offs" in report.text and "2 trials are beyond it" in report.text
    assert "is the best within the limit" in report.text
    assert "tradeoffs.svg" in report.pictures
    page = Annotations(url)
    shown = page.study(registered.study_id, "within")
    page.close()
    assert shown is not None and "hpo-tradeoffs" in shown.plots and "### Trade-offs" in shown.note


def test_an_own_training_is_judged_by_what_it_reports(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limited_train.py").write_text(TRAINER)
    monkeypatch.chdir(tmp_path)
    url = new_database("sqlite")
    try:
        run(url, OWN, "own")
    finally:
        end_trainer_process()
    found: list[Any] = rows(url, RESULTS, study="own")
    assert [row[1] for row in found] == ["complete", "pruned", "failed"]
    assert found[0][2] == pytest.approx(0.53)
    assert found[1][2:6] == (None, 2, "beyond_limit", "beyond the limit: 8 latency_ms, more than 5")
    assert found[2][5].endswith("reported no finite latency_ms in its best epoch, and limit: needs it")
