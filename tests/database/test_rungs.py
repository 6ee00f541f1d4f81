"""Rungs and paused trials on either database."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy import event, text

from hpo.config.methods import Asha
from hpo.config.study import MAIN
from hpo.errors import LeaseLostError
from hpo.maintenance.check import check_database
from hpo.queries.study import list_studies
from hpo.queries.trial import trial_detail
from hpo.queue.leases import claim
from hpo.queue.pausing import claim_promoted, end_paused, paused_stages
from hpo.queue.slots import study_progress
from hpo.records import Decision, Finding, Outcome, Rung, RungRank
from hpo.search.pruners import judge, promotable, promoted, stopped_at_the_end
from hpo.storage.fence import Lease
from hpo.storage.rungs import CHECK
from hpo.storage.tables import RungRow, SlotRow
from tests.database.conftest import Bench

HALF = Asha(reduction=2, promote=True)
CHOOSE, PROMOTED, STOPPED = (
    cast(Any, partial(each, HALF)) for each in (promotable, promoted, stopped_at_the_end)
)
PAUSED = Outcome("pruned", verdict="paused: somewhere", cause="healthy", best_epoch=1, parameters=7)


def enter(bench: Bench, lease: Lease, score: float, **rung: Any) -> tuple[int, RungRank]:
    """Begin the lease's trial and come to epoch 1 with a score; where it then stands."""
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1, score))
    seen: list[RungRank] = []

    def note(at: RungRank) -> Decision:
        seen.append(at)
        return Decision("paused", f"rank {at.rank} of {at.of}")

    bench.store.judge(
        lease, trial_id, Rung(**{"epoch": 1, "epochs": 3, "bracket": 0, "score": score, **rung}), note
    )
    return trial_id, seen[0]


def pause(bench: Bench, study_id: int, score: float) -> int:
    """A whole trial up to its pause at epoch 1; its id."""
    lease = bench.claim(study_id)
    trial_id, _ = enter(bench, lease, score)
    finding = Finding(CHECK, "note", math.nan, math.nan, "rank 1 of 1 at epoch 1", epoch=1)
    bench.store.record_findings(lease, trial_id, [finding])
    bench.store.pause_trial(lease, trial_id, PAUSED)
    return int(trial_id)


def go_on(bench: Bench, study_id: int, worker: str = "host:2:0.00") -> Lease | None:
    return claim_promoted(bench.store, study_id, MAIN, worker, 60.0, CHOOSE, PROMOTED)


def end(bench: Bench, study_id: int) -> bool:
    return None is not end_paused(bench.store, study_id, MAIN, CHOOSE, STOPPED)


def test_a_trial_is_ranked_among_those_that_came_to_the_same_rung(bench: Bench) -> None:
    study_id = bench.register(trials=7)
    scores = [0.3, 0.5, 0.4, 0.5]
    standings = [enter(bench, bench.claim(study_id), score)[1] for score in scores]
    # Of equal scores the older trial's is ahead.
    assert [(at.rank, at.of) for at in standings] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    # Another bracket, another number of epochs, another epoch: not comparable.
    for other in ({"bracket": 1}, {"epochs": 9}, {"epoch": 2}):
        _, at = enter(bench, bench.claim(study_id), 0.1, **other)
        assert (at.rank, at.of) == (1, 1)


def test_other_studies_do_not_count(bench: Bench) -> None:
    for name in ("one", "other"):
        _, at = enter(bench, bench.claim(bench.register(name)), 0.5)
        assert (at.rank, at.of) == (1, 1)


def test_a_passed_trial_stays_passed_and_others_are_judged_again(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    rung = Rung(1, 3, 0, 0.2)
    first = bench.store.judge(lease, trial_id, rung, lambda at: Decision("stopped", "first"))
    again = bench.store.judge(lease, trial_id, rung, lambda at: Decision("goes_on", "second"))
    kept = bench.store.judge(lease, trial_id, rung, lambda at: Decision("stopped", "third"))
    assert [first.reason, again.reason, kept.reason] == ["first", "second", "second"]
    assert kept.action == "goes_on"
    (row,) = bench.rows(RungRow)
    assert (row.decision, row.rank, row.compared, row.score) == ("goes_on", 1, 1, 0.2)


def test_only_the_holder_of_the_slot_is_judged_or_paused(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    lease = bench.claim(study_id, seconds=-1.0)
    trial_id, _ = bench.begin(lease)
    bench.claim(study_id)
    with pytest.raises(LeaseLostError):
        bench.store.judge(lease, trial_id, Rung(1, 3, 0, 0.5), partial(judge, Asha()))
    with pytest.raises(LeaseLostError):
        bench.store.pause_trial(lease, trial_id, PAUSED)
    assert bench.rows(RungRow) == []


def test_a_paused_trial_is_unclaimable_until_it_is_among_the_best(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    first = pause(bench, study_id, 0.3)
    assert go_on(bench, study_id) is None
    detail = trial_detail(bench.store.engine, "first", 0)
    assert (detail.state, detail.verdict) == ("paused", "paused: somewhere")
    assert detail.attempts[0].outcome == "paused"
    assert bench.optuna_trials()[0].state.name == "RUNNING"
    second = pause(bench, study_id, 0.6)
    lease = go_on(bench, study_id)
    assert lease is not None
    assert (lease.trial_id, lease.slot, lease.epoch, lease.token) == (second, 1, 1, 2)
    assert go_on(bench, study_id) is None
    # It is let through for good, and says why.
    decided = bench.store.judge(lease, second, Rung(1, 3, 0, 0.6), lambda at: Decision("stopped", "no"))
    assert decided == Decision("goes_on", "rank 1 of 2 at epoch 1: among the best half now")
    detail = trial_detail(bench.store.engine, "first", 1)
    assert (detail.state, detail.verdict) == ("running", None)
    assert {row.trial_id: row.decision for row in bench.rows(RungRow)} == {first: "paused", second: "goes_on"}
    counts = study_progress(bench.store, study_id)
    assert (counts.waiting, counts.running, counts.paused, counts.done, counts.total) == (1, 1, 1, 0, 3)
    assert counts.open == 3, "the study is not over while a trial is paused"
    (summary,) = list_studies(bench.store.engine)
    assert (summary.paused, summary.trials) == (1, 3)
    assert check_database(bench.store.url) == []


def test_the_stages_with_paused_trials_are_known(bench: Bench) -> None:
    study_id = bench.register(trials=2)
    assert paused_stages(bench.store, study_id) == []
    pause(bench, study_id, 0.3)
    assert paused_stages(bench.store, study_id) == [MAIN]


def test_a_new_slot_is_claimed_while_no_paused_trial_may_resume(bench: Bench) -> None:
    study_id = bench.register(trials=2)
    pause(bench, study_id, 0.3)
    lease = claim(bench.store, study_id, "host:3:0.00", 60.0)
    assert lease is not None
    assert (lease.slot, lease.trial_id) == (1, None)
    assert claim(bench.store, study_id, "host:4:0.00", 60.0) is None


def test_paused_trials_end_as_pruned_when_no_trial_runs_or_is_to_come(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    for score in (0.3, 0.6):
        pause(bench, study_id, score)
    assert not end(bench, study_id), "a slot is waiting"
    pause(bench, study_id, 0.4)
    assert not end(bench, study_id), "one may go on"
    lease = go_on(bench, study_id)
    assert lease is not None and lease.trial_id is not None
    assert not end(bench, study_id), "one runs"
    bench.store.begin_attempt(lease, lease.trial_id, device="cpu", from_epoch=1)
    bench.store.finish_trial(
        lease, lease.trial_id, Outcome("complete", value=0.7, verdict="healthy", cause="healthy")
    )
    assert [end(bench, study_id) for _ in range(3)] == [True, True, False]
    assert study_progress(bench.store, study_id).pruned == 2
    states = [trial.state.name for trial in bench.optuna_trials()]
    assert states == ["PRUNED", "COMPLETE", "PRUNED"]
    last = trial_detail(bench.store.engine, "first", 0)
    assert (last.state, last.value, last.parameters) == ("pruned", None, 7)
    assert last.verdict == "stopped early: rank 3 of 3 at epoch 1: not among the best half"
    assert last.findings[0].message == "rank 3 of 3 at epoch 1: not among the best half"
    assert {row.state for row in bench.rows(SlotRow)} == {"done"}
    # The complete trial was not really trained.
    assert {problem.check for problem in check_database(bench.store.url)} == {"statistics"}


def test_a_study_too_small_for_the_best_share_has_a_winner_all_the_same(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    trial_id = pause(bench, study_id, 0.3)
    assert not end(bench, study_id)
    lease = go_on(bench, study_id)
    assert lease is not None and lease.trial_id == trial_id


def test_two_workers_never_get_the_same_paused_trial(bench: Bench) -> None:
    study_id = bench.register(trials=4)
    for score in (0.3, 0.6, 0.4, 0.5):
        pause(bench, study_id, score)
    leases = [go_on(bench, study_id, f"host:{pid}:0.00") for pid in range(3)]
    assert [lease and lease.slot for lease in leases] == [1, 3, None]


def test_a_rung_is_read_by_its_index(bench: Bench) -> None:
    study_id = bench.register(trials=2)
    pause(bench, study_id, 0.3)
    if bench.store.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL reads a table of two rows without an index")
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    statements: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "count(*) AS compared" in statement:
            statements.append((statement, parameters))

    event.listen(bench.store.engine, "before_cursor_execute", keep)
    bench.store.judge(lease, trial_id, Rung(1, 3, 0, 0.5), partial(judge, Asha()))
    go_on(bench, study_id)
    event.remove(bench.store.engine, "before_cursor_execute", keep)
    assert len(statements) == 2
    with bench.store.engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            searched = [row.detail for row in plan if "hpo_rung" in row.detail or " o " in f"{row.detail} "]
            assert any("ix_hpo_rung_score" in detail for detail in searched), plan
            assert not any(row.detail.startswith("SCAN s") for row in plan), plan
    with bench.store.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM hpo_rung")) == 2
