"""Paused trials: which of them is resumed next, and how those that are never resumed end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, select, update

from hpo.queue.control import stopped_at
from hpo.queue.leases import claim_slot, claim_within
from hpo.records import Decision, Outcome, Paused
from hpo.storage import rungs
from hpo.storage.fence import Lease
from hpo.storage.notify import notify_idle_workers
from hpo.storage.optuna.trials import finish_in_optuna
from hpo.storage.store import ResultsStore, set_outcome
from hpo.storage.tables import FINDINGS, TRIALS, SlotRow, TrialRow

Choose: TypeAlias = Callable[[Sequence[Paused], bool], Paused | None]
"""Chooses which of the best paused trials of each rung is resumed.

The flag is true when no trial of the stage is waiting or running.
"""
Decide: TypeAlias = Callable[[Paused], Decision]


@dataclass(frozen=True)
class EndedPaused:
    """A paused trial that was ended; ``seconds`` is its training time."""

    number: int
    verdict: str
    seconds: float


def paused_stages(store: ResultsStore, study_id: int) -> list[str]:
    """Return the stages of the study that have paused trials."""
    stages = (
        select(SlotRow.stage)
        .where(
            SlotRow.study_id == study_id,
            SlotRow.state != "done",  # matches the partial index
            SlotRow.state == "paused",
        )
        .distinct()
        .order_by(SlotRow.stage)
    )
    return list(store.read(lambda connection: connection.scalars(stages).all()))


def claim_promoted(
    store: ResultsStore,
    study_id: int,
    stage: str,
    worker: str,
    lease_seconds: float,
    choose: Choose,
    decide: Decide,
) -> Lease | None:
    """Claim the slot of a paused trial that is now among the best of its rung; None if there is none.

    Returns None after `hpo stop` too.
    """

    def claim_best(connection: Connection) -> Lease | None:
        if stopped_at(connection, study_id) is not None:
            return None
        while (best := _next(connection, study_id, stage, choose)) is not None:
            lease = claim_slot(
                connection, study_id, stage, best.slot, worker, lease_seconds, SlotRow.state == "paused"
            )
            if lease is not None:  # else another worker was faster
                _redecide(connection, best, decide(best))
                _forget_verdict(connection, best.trial_id)
                return lease
        return None

    return claim_within(store, claim_best)


def end_paused(
    store: ResultsStore, study_id: int, stage: str, choose: Choose, decide: Decide
) -> EndedPaused | None:
    """End one paused trial as pruned, once no trial is waiting, running or resumable; None if there is none.

    One per transaction: several workers share the work, and if one is killed the others finish it.
    """

    def work(connection: Connection) -> EndedPaused | None:
        if not _is_closing(connection, study_id, stage) or _next(connection, study_id, stage, choose):
            return None
        ends = (
            _end(connection, study_id, stage, paused, decide(paused))
            for paused in rungs.best_paused(connection, study_id, stage)
        )
        notify_idle_workers(connection)
        return next((ended for ended in ends if ended is not None), None)

    return store.write(work)


def _next(connection: Connection, study_id: int, stage: str, choose: Choose) -> Paused | None:
    return choose(rungs.best_paused(connection, study_id, stage), _is_closing(connection, study_id, stage))


def _is_closing(connection: Connection, study_id: int, stage: str) -> bool:
    open_slots = select(func.count()).where(
        SlotRow.study_id == study_id,
        SlotRow.stage == stage,
        SlotRow.state != "done",  # matches the partial index
        SlotRow.state.in_(("waiting", "running")),
    )
    return connection.scalar(open_slots) == 0


def _end(
    connection: Connection, study_id: int, stage: str, paused: Paused, decision: Decision
) -> EndedPaused | None:
    """Return None if another worker is ending it."""
    held = (
        select(SlotRow.slot)
        .where(*_is(study_id, stage, paused.slot), SlotRow.state == "paused")
        .with_for_update(skip_locked=True)
    )
    if connection.execute(held).one_or_none() is None:
        return None
    outcome = _outcome(connection, paused.trial_id, decision)
    finish_in_optuna(connection, paused.trial_id, outcome)
    set_outcome(connection, paused.trial_id, outcome)
    _redecide(connection, paused, decision)
    slot = update(SlotRow).where(*_is(study_id, stage, paused.slot))
    connection.execute(slot.values(state="done", token=SlotRow.token + 1))
    ended = (
        select(TRIALS.c.number, TrialRow.seconds)
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .where(TrialRow.trial_id == paused.trial_id)
    )
    number, seconds = connection.execute(ended).one()
    return EndedPaused(number, outcome.verdict or "", seconds or 0.0)


def _outcome(connection: Connection, trial_id: int, decision: Decision) -> Outcome:
    """Return what was known of the trial when it was paused, with the decision as its verdict."""
    row = connection.execute(select(TrialRow.__table__).where(TrialRow.trial_id == trial_id)).one()
    return Outcome(
        state="pruned",
        verdict=f"stopped early: {decision.reason}",
        remedy=row.remedy,
        cause=row.cause,
        second_cause=row.second_cause,
        confidence=row.confidence,
        remedy_change=row.remedy_change,
        best_epoch=row.best_epoch,
        parameters=row.parameters,
        milliseconds=row.milliseconds,
    )


def _forget_verdict(connection: Connection, trial_id: int) -> None:
    connection.execute(update(TrialRow).where(TrialRow.trial_id == trial_id).values(verdict=None, cause=None))


def _redecide(connection: Connection, paused: Paused, decision: Decision) -> None:
    rungs.redecide(connection, paused, decision)
    connection.execute(
        update(FINDINGS)
        .where(
            FINDINGS.c.trial_id == paused.trial_id,
            FINDINGS.c.check_name == rungs.CHECK,
            FINDINGS.c.epoch == paused.epoch,
        )
        .values(message=decision.reason, value=paused.rank, threshold=None)
    )


def _is(study_id: int, stage: str, slot: int) -> tuple[Any, ...]:
    return SlotRow.study_id == study_id, SlotRow.stage == stage, SlotRow.slot == slot
