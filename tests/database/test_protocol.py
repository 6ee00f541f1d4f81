"""The protocol of leases on a real database: any order of what workers do, and of what befalls them.

Hypothesis makes the orders up; a small model of who owns what says which writes must be let through.
`tests/unit/queue/test_protocol.py` visits every state of the protocol itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, update

from hpo.errors import LeaseLostError
from hpo.queue import control, leases
from hpo.queue.leases import claim, release, renew
from hpo.records import Outcome
from hpo.signals import StudyStoppedError
from hpo.storage import fence, store, tables
from hpo.storage.engine import writing
from hpo.storage.fence import Lease
from hpo.storage.retry import DEFAULT_RETRY
from hpo.storage.store import ResultsStore
from hpo.storage.tables import AttemptRow, SlotRow, TrialRow
from tests.database.conftest import Bench

SLOTS, EPOCHS = 2, 2
WORKERS = st.sampled_from(["a:1:0.00", "b:2:0.00", "c:3:0.00"])


class Protocol(RuleBasedStateMachine):
    """Three workers on two slots."""

    new_bench: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.bench = self.new_bench()
        self.store = self.bench.store
        self.study_id = self.bench.register(trials=SLOTS)
        self.held: dict[str, Lease] = {}
        """What each worker believes to hold."""
        self.trained: dict[str, int] = {}
        self.owner: dict[int, str] = {}
        """Who claimed each slot last and has not given it back or ended it."""
        self.stopped = False

    @rule(worker=WORKERS, dies=st.booleans())
    def claims(self, worker: str, dies: bool) -> None:
        if worker in self.held:
            return
        try:
            lease = claim(self.store, self.study_id, worker, 60.0)
        except StudyStoppedError:
            assert self.stopped
            return
        assert not self.stopped
        if lease is not None:
            self.owner[lease.slot] = worker
            if not dies:
                self.begins(worker, lease)

    def begins(self, worker: str, lease: Lease) -> None:
        trial_id, _ = self.bench.begin(lease)
        self.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        recorded = self.store.rewind(lease, trial_id, epoch=lease.epoch, step=0)
        self.held[worker], self.trained[worker] = lease, recorded

    @rule(worker=WORKERS)
    def trains_and_records(self, worker: str) -> None:
        if worker not in self.held or self.trained[worker] == EPOCHS:
            return
        record = self.bench.record(self.trained[worker] + 1)
        if self.writes(worker, lambda lease, trial: self.store.record_epoch(lease, trial, record)):
            self.trained[worker] += 1

    @rule(worker=WORKERS)
    def ends_the_trial(self, worker: str) -> None:
        if worker not in self.held or self.trained[worker] < EPOCHS:
            return
        outcome = Outcome("complete", value=0.5)
        if self.writes(worker, lambda lease, trial: self.store.finish_trial(lease, trial, outcome)):
            # It did not hear of its success, and tells it again.
            self.store.finish_trial(self.held[worker], self.trial_of(worker), outcome)
            self.lets_go(worker)

    @rule(worker=WORKERS)
    def renews(self, worker: str) -> None:
        if worker in self.held:
            self.writes(worker, lambda lease, trial: renew(self.store, lease))

    @rule(worker=WORKERS, hung=st.booleans())
    def gives_back(self, worker: str, hung: bool) -> None:
        if worker not in self.held:
            return
        if hung:
            done = self.writes(
                worker, lambda lease, trial: leases.release_as_hung(self.store, lease, DEFAULT_RETRY)
            )
        else:
            done = self.writes(worker, lambda lease, trial: release(self.store, lease))
        if done:
            self.lets_go(worker)

    @rule(worker=WORKERS)
    def is_killed(self, worker: str) -> None:
        self.held.pop(worker, None)

    @rule()
    def leases_run_out(self) -> None:
        with writing(self.store.engine) as connection:
            running = update(SlotRow).where(SlotRow.state == "running")
            connection.execute(running.values(lease_until=1.0))

    @rule()
    def the_study_is_stopped(self) -> None:
        control.stop(self.store, self.study_id)
        self.stopped = True

    @precondition(lambda self: self.stopped)
    @rule()
    def the_study_is_resumed(self) -> None:
        control.resume(self.store, self.study_id)
        self.stopped = False

    def trial_of(self, worker: str) -> int:
        lease = self.held[worker]
        (row,) = self.bench.rows(TrialRow, slot=lease.slot)
        return int(row.trial_id)

    def writes(self, worker: str, write: Callable[[Lease, int], Any]) -> bool:
        """Whether it was let through, which must be so exactly for who claimed the slot last."""
        lease = self.held[worker]
        owns = self.owner.get(lease.slot) == worker
        try:
            write(lease, self.trial_of(worker))
        except LeaseLostError:
            assert not owns, f"{worker} owns slot {lease.slot}, and was refused"
            del self.held[worker]
            return False
        assert owns, f"{worker} lost slot {lease.slot}, and its write was accepted"
        return True

    def lets_go(self, worker: str) -> None:
        del self.owner[self.held.pop(worker).slot]

    def teardown(self) -> None:
        """Whatever happened: one last worker ends every trial, and each has been trained once."""
        try:
            self.leases_run_out()
            self.the_study_is_resumed()
            self.held.clear()
            last = "z:9:0.00"
            for _ in range(SLOTS):
                self.claims(last, dies=False)
                while last in self.held:
                    self.trains_and_records(last)
                    self.ends_the_trial(last)
            self.check_the_end()
        finally:
            self.store.close()

    def check_the_end(self) -> None:
        assert [(row.slot, row.state) for row in self.bench.rows(SlotRow)] == [(0, "done"), (1, "done")]
        trials = self.bench.rows(TrialRow)
        for trial in trials:
            curve = sorted(row.epoch for row in self.bench.rows(tables.EPOCHS, trial_id=trial.trial_id))
            outcomes = [row.outcome for row in self.bench.rows(AttemptRow, trial_id=trial.trial_id)]
            assert curve == [1, 2]
            assert outcomes.count("complete") == 1 and None not in outcomes
        assert sorted(trial.number for trial in self.bench.optuna_trials()) == [0, 1]


SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)


@pytest.fixture
def machine(bench: Bench, tmp_path: Path) -> type[Protocol]:
    template = Path(bench.store.url.removeprefix("sqlite:///"))
    count = iter(range(1_000_000))

    def new_bench() -> Any:
        path = tmp_path / f"copy-{next(count)}.db"
        shutil.copy(template, path)
        return type(bench)(ResultsStore(f"sqlite:///{path}"))

    return type("OnSqlite", (Protocol,), {"new_bench": staticmethod(new_bench)})


def explore(machine: type[Protocol], examples: int, quick: bool = False) -> None:
    """``quick`` makes no effort to find the shortest example."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate] if quick else [Phase.generate, Phase.shrink],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@SQLITE
def test_any_order_of_events_leaves_each_trial_trained_once(machine: type[Protocol]) -> None:
    explore(machine, examples=6)


@pytest.mark.slow
@SQLITE
def test_many_more_orders(machine: type[Protocol]) -> None:
    explore(machine, examples=250)


@pytest.mark.slow
@SQLITE
def test_without_the_check_of_the_token_it_is_found_broken(
    machine: type[Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypothesis finds a former owner whose write is accepted, and so would in a fence with this hole."""

    def pass_any(connection: Any, hold: Any, **changes: Any) -> int | None:
        running = select(SlotRow.token, SlotRow.worker).where(fence.SLOT, SlotRow.state == "running")
        newest = connection.execute(running, fence.slot_key(hold)).one_or_none()
        claims = {} if newest is None else newest._asdict()
        return fence.pass_fence(connection, replace(hold, **claims), **changes)

    for module in (leases, store):
        monkeypatch.setattr(module, "pass_fence", pass_any)
    with pytest.raises(AssertionError, match="and its write was accepted"):
        explore(machine, examples=200, quick=True)
