"""A real study that minimizes the validation loss, from its first stage to the test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hpo.artifacts import store as artifact_store
from hpo.config.parsing.load import parse_study
from hpo.diagnosis.trials import study_results
from hpo.events import Event, TrialEnded
from hpo.maintenance.check import check_database
from hpo.queries.stages import stages_status
from hpo.queries.study import leaderboard
from hpo.queries.trial import trial_detail
from hpo.reporting.report.build import make_report
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.trial.export import Export
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

STUDY = """
study: lowest
objective: val_loss
checks: off
fixed: {dataset: synthetic, train_images: 600, width: 6, depth: 2, batch_size: 15, precision: fp32,
        val_fraction: 0.02, schedule: constant, optimizer: adam, batch_norm: after}
space: {lr: {log: [2.0e-3, 0.03]}}
stages:
  - {name: coarse, trials: 5, epochs: 2, pruner: {asha: {reduction: 2}}}
  - {name: fine, trials: 2, epochs: 2, carry: 1, keep: 0.5}
  - {name: confirm, epochs: 1, confirm: {top: 2, seeds: 2}}
"""


@pytest.fixture(scope="module")
def _trained() -> dict[str, Any]:
    return {}


@pytest.fixture
def url(_trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    if not _trained:
        _trained["url"] = f"sqlite:///{tmp_path_factory.mktemp('lowest')}/lowest.db"
        events: list[Event] = []
        with ResultsStore(_trained["url"]) as store:
            submit_study(store, parse_study(STUDY, "lowest"))
        serve(WorkOrder(_trained["url"], ("lowest",), "cpu", 2), events.append, lambda: None, lambda _: None)
        _trained["events"] = events
    return str(_trained["url"])


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_a_value_is_the_lowest_loss_of_its_best_epoch(url: str, _trained: dict[str, Any]) -> None:
    lowest = dict(rows(url, "SELECT number, min(val_loss) FROM curves GROUP BY number"))
    found = rows(
        url, "SELECT number, value, best_value FROM results WHERE state = 'complete' AND stage <> 'test'"
    )
    assert len(found) >= 6
    assert all(value == best == lowest[number] for number, value, best in found)
    ended = [event for event in _trained["events"] if isinstance(event, TrialEnded)]
    assert {event.objective for event in ended} == {"val_loss"}
    assert check_database(url) == []


def test_the_pruner_stops_the_highest_losses(url: str) -> None:
    at_first = rows(
        url,
        """
        SELECT t.slot, -r.score, r.decision, c.val_loss
        FROM hpo_rung AS r
        JOIN hpo_trial AS t ON t.trial_id = r.trial_id
        JOIN curves AS c ON c.trial_id = r.trial_id AND c.epoch = 1
        WHERE r.epoch = 1 AND t.stage = 'coarse' ORDER BY t.slot
        """,
    )
    losses = [loss for _, _, _, loss in at_first]
    assert [score for _, score, _, _ in at_first] == losses and len(losses) == 5
    ranks = [1 + sum(other <= loss for other in losses[:slot]) for slot, loss in enumerate(losses)]
    through = [rank <= max(1, (slot + 1) // 2) for slot, rank in enumerate(ranks)]
    assert [decision == "goes_on" for _, _, decision, _ in at_first] == through


def test_stages_carry_and_confirm_the_lowest_losses(url: str) -> None:
    coarse = rows(url, "SELECT value, lr FROM results WHERE stage = 'coarse' AND state = 'complete'")
    (carried,) = rows(url, "SELECT lr FROM results WHERE stage = 'fine' AND slot = 0")
    assert carried == (min(coarse)[1],)
    with ResultsStore(url) as store:
        status = stages_status(store.engine, "lowest")
        first, second = sorted(status.confirmations, key=lambda each: each.rank or 0)
    assert first.mean is not None and second.mean is not None and first.difference is not None
    assert first.mean <= second.mean
    assert first.difference == pytest.approx(second.mean - first.mean) and first.difference >= 0
    assert first.gap == pytest.approx(first.mean - first.search_value)
    assert [each.best_value for each in status.stages[:1]] == [min(coarse)[0]]


def test_the_winner_is_measured_by_its_loss_on_the_test_images(url: str) -> None:
    (look,) = rows(url, "SELECT number, value, test_value FROM results WHERE stage = 'test'")
    assert look[1] == look[2]
    with ResultsStore(url) as store:
        best = leaderboard(store.engine, "lowest")[0]
        everything = rows(url, "SELECT min(value) FROM results WHERE stage <> 'test' AND state = 'complete'")
        assert (best.value,) == everything[0]
        assert trial_detail(store.engine, "lowest", best.number).goal.direction == "minimize"
        registered = find_registered(store.engine, "lowest")
        ranked = study_results(store.engine, "lowest").ranked
    assert [trial.value for trial in ranked] == sorted(trial.value or 0.0 for trial in ranked)
    assert registered is not None
    found = artifact_store.find(registered.uid, best.number)
    assert found is not None and artifact_store.load(found).document["value"] == best.value


def test_the_report_speaks_of_the_lowest_loss(url: str) -> None:
    page = make_report(url, "lowest", "md").text
    assert all(each in page for each in ("lowest validation loss", "mean validation loss of", "Test loss 2"))
    assert "accuracy in the search" not in page


def test_an_export_reproduces_the_recorded_accuracy(url: str, tmp_path: Path) -> None:
    with ResultsStore(url) as store:
        best = leaderboard(store.engine, "lowest")[0]
        curve = trial_detail(store.engine, "lowest", best.number).curve
    export = Export(url, "lowest", best.number)
    weights = export.kept_weights()
    assert weights is not None
    done = export.write(weights, tmp_path / "net")
    assert done.recorded_accuracy == curve[(best.best_epoch or 0) - 1].val_accuracy
