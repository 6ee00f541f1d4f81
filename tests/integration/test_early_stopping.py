"""Real trainings that the search ends early or pauses, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hpo.config.objective import WORST_SCORE
from hpo.config.study import StudySpec
from hpo.diagnosis.trials import study_results
from hpo.events import Event, TrialEnded, TrialPaused, TrialStarted
from hpo.maintenance.check import check_database
from hpo.queries.study import leaderboard
from hpo.queries.trial import trial_detail
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.storage.store import ResultsStore
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

FIXED: dict[str, Any] = {
    "dataset": "synthetic",
    "train_images": 200,
    "width": 4,
    "depth": 2,
    "epochs": 3,
    "batch_size": 40,
    "precision": "fp32",
    "val_fraction": 0.02,
    "schedule": "constant",
}
MORE_STEPS = FIXED | {"batch_size": 20}
RATES = {"lr": {"choice": [1e-4, 0.05, 3e-4, 2e-4, 0.03, 1.5e-4]}}
PROMOTE = {"asha": {"reduction": 2, "promote": True}}
RESULTS = """
    SELECT slot, number, state, value, weights_hash FROM results WHERE study = :study ORDER BY slot
"""
CURVES = (
    "SELECT number, epoch, train_loss, val_loss, val_accuracy FROM curves WHERE study = :study ORDER BY 1, 2"
)
RUNGS = """
    SELECT t.slot, r.epoch, r.decision FROM hpo_rung AS r JOIN hpo_trial AS t ON t.trial_id = r.trial_id
    JOIN hpo_study AS s ON s.study_id = t.study_id WHERE s.name = :study ORDER BY t.slot, r.epoch
"""


def spec(name: str, pruner: Any, trials: int = 6) -> StudySpec:
    document = {"study": name, "trials": trials, "sampler": "grid", "fixed": FIXED, "space": RATES}
    return StudySpec.model_validate({**document, "pruner": pruner, "checks": "off"})


def serve_until(url: str, study: str, check_stop: Callable[[], None] = lambda: None) -> list[Event]:
    events: list[Event] = []
    serve(WorkOrder(url, (study,), "cpu", 2), events.append, check_stop, lambda ready: None)
    return events


def run(url: str, study: StudySpec) -> list[Event]:
    with ResultsStore(url) as store:
        submit_study(store, study)
    return serve_until(url, study.study)


def rows(url: str, sql: str, study: str) -> list[tuple[Any, ...]]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql), {"study": study})]


Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def _known() -> Rows:
    return {}


@pytest.fixture
def whole(_known: Rows, tmp_path: Path) -> Rows:
    """The same trials, each trained to its end; trained once."""
    if not _known:
        url = f"sqlite:///{tmp_path}/whole.db"
        run(url, spec("s", "none"))
        _known.update(results=rows(url, RESULTS, "s"), curves=rows(url, CURVES, "s"))
    return _known


def first_accuracies(whole: Rows) -> list[float]:
    return [accuracy for _, epoch, _, _, accuracy in whole["curves"] if epoch == 1]


def test_a_trial_that_a_check_ended_counts_as_the_last_at_every_rung(storage_url: str) -> None:
    document = spec("s", {"asha": {"reduction": 2}}, trials=4).model_dump(mode="json", by_alias=True)
    rates = {"lr": {"choice": [0.05, 1e6, 1e7, 3e-4]}}
    changes = {"space": rates, "checks": "standard", "fixed": MORE_STEPS}
    run(storage_url, StudySpec.model_validate({**document, **changes}))
    ended = rows(storage_url, "SELECT slot FROM results WHERE study = :study AND cause <> 'healthy'", "s")
    assert {(1,), (2,)} <= set(ended)
    decided = rows(storage_url, RUNGS.replace("r.decision", "r.decision, r.compared, r.score"), "s")
    # One is ended in its second epoch, the other in its first: neither is at the rungs that it had left.
    assert [row for row in decided if row[0] in (1, 2) and row[-1] == WORST_SCORE] == [
        (*which, WORST_SCORE) for which in ((1, 2, "stopped", 2), (2, 1, "stopped", 3), (2, 2, "stopped", 3))
    ]
    assert [row[3] for row in decided if row[:2] == (3, 1)] == [4]
    assert check_database(storage_url) == []


def test_a_trial_below_the_best_share_is_stopped_and_has_not_failed(storage_url: str, whole: Rows) -> None:
    events = run(storage_url, spec("s", {"asha": {"reduction": 3}}))
    scores = first_accuracies(whole)
    ranks = [1 + sum(other >= score for other in scores[:slot]) for slot, score in enumerate(scores)]
    through = {slot for slot, rank in enumerate(ranks) if rank <= max(1, (slot + 1) // 3)}
    ended = {event.number: event for event in events if isinstance(event, TrialEnded)}
    assert {number for number, event in ended.items() if event.state == "complete"} == through
    assert set(ended) == set(range(6)) and through < set(range(6))
    out = min(set(range(6)) - through)
    words = f"rank {ranks[out]} of {out + 1} at epoch 1: not among the best third"
    assert ended[out].verdict == f"stopped early: {words}"
    with ResultsStore(storage_url) as store:
        stopped = trial_detail(store.engine, "s", out)
        results = study_results(store.engine, "s")
        leaders = leaderboard(store.engine, "s")
    assert (stopped.state, stopped.value, stopped.cause) == ("pruned", None, "not_checked")
    assert [epoch.val_accuracy for epoch in stopped.curve] == [scores[out]]
    (finding,) = [each for each in stopped.findings if each.check == "early_stopping"]
    assert (finding.severity, finding.epoch, finding.message) == ("note", 1, words)
    assert not any(results.failed(trial) for trial in results.trials if trial.number == out)
    assert {leader.number for leader in leaders} == through
    # Its best so far is kept beside the value, which only complete trials have.
    best = rows(storage_url, "SELECT number, value, best_value FROM results WHERE study = :study", "s")
    assert (out, None, scores[out]) in best
    assert check_database(storage_url) == []
    assert not settings().checkpoints.exists() or not list(settings().checkpoints.rglob("*.pt"))


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_paused_trial_resumes_to_the_same_result(storage_url: str, whole: Rows) -> None:
    events = run(storage_url, spec("s", PROMOTE))
    found = {row[0]: row for row in rows(storage_url, RESULTS, "s")}
    complete = [slot for slot, row in found.items() if row[2] == "complete"]
    assert complete
    assert all(found[slot] == whole["results"][slot] for slot in complete), "number, value and weights"
    assert set(rows(storage_url, CURVES, "s")) <= set(whole["curves"])
    assert {row[2] for row in found.values()} == {"complete", "pruned"}
    decided = rows(storage_url, RUNGS, "s")
    scores = first_accuracies(whole)
    best_half = sorted(range(6), key=lambda slot: (-scores[slot], slot))[:3]
    assert set(best_half) <= {
        slot for slot, epoch, decision in decided if (epoch, decision) == (1, "goes_on")
    }
    assert {slot for slot, epoch, decision in decided if (epoch, decision) == (2, "goes_on")} == set(complete)
    paused = {event.number for event in events if isinstance(event, TrialPaused)}
    went_on = {event.number for event in events if isinstance(event, TrialStarted) and event.resumed}
    assert went_on and went_on <= paused
    ended = [event.number for event in events if isinstance(event, TrialEnded)]
    assert sorted(ended) == list(range(6)), "every trial ends once, for the watchers too"
    assert check_database(storage_url) == []
    assert not settings().checkpoints.exists() or not list(settings().checkpoints.rglob("*.pt"))


STAGES = [
    {"name": "coarse", "trials": 4, "epochs": 2, "pruner": PROMOTE},
    {"name": "fine", "trials": 2, "epochs": 2, "pruner": "none", "space": "same"},
]
DECIDED = """
    SELECT r.stage, count(*) AS met FROM hpo_rung AS r JOIN hpo_study AS s ON s.study_id = r.study_id
    WHERE s.name = :study GROUP BY r.stage
"""


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_stage_with_paused_trials_ends_before_the_next_begins(storage_url: str) -> None:
    document = spec("s", "none").model_dump(mode="json", by_alias=True)
    changes = {"stages": STAGES, "trials": 6, "sampler": "random", "space": {"lr": {"log": [1e-4, 0.1]}}}
    changes["fixed"] = MORE_STEPS
    events = run(storage_url, StudySpec.model_validate({**document, **changes}))
    by_stage = rows(storage_url, "SELECT stage, state FROM results WHERE study = :study", "s")
    assert sorted(by_stage) == [
        *[("coarse", "complete")] * 2,
        *[("coarse", "pruned")] * 2,
        *[("fine", "complete")] * 2,
    ]
    assert rows(storage_url, DECIDED, "s") == [("coarse", 4)]
    ended = [event.number for event in events if isinstance(event, TrialEnded)]
    assert sorted(ended) == list(range(6)) and max(ended[:4]) == 3
    assert check_database(storage_url) == []


class StopAfter:
    """A stop request at the ``count``-th look for one."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise StopRequestedError


@pytest.mark.slow
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_worker_that_stops_and_comes_back_decides_the_same(storage_url: str) -> None:
    run(storage_url, spec("calm", PROMOTE))
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped", PROMOTE))
    pieces = 0
    while pieces < 100:
        pieces += 1
        try:
            serve_until(storage_url, "stopped", StopAfter(17))
        except StopRequestedError:
            continue
        break
    assert 3 < pieces < 100
    for sql in (RESULTS, CURVES, RUNGS):
        assert rows(storage_url, sql, "stopped") == rows(storage_url, sql, "calm")


@pytest.mark.slow
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("pruner", [{"median": {"min_trials": 2}}, {"hyperband": {"reduction": 2}}])
def test_the_other_rules_stop_trials_too(storage_url: str, pruner: Any) -> None:
    events = run(storage_url, spec("s", pruner))
    states = {event.number: event.state for event in events if isinstance(event, TrialEnded)}
    assert set(states) == set(range(6))
    assert set(states.values()) == {"complete", "pruned"}
