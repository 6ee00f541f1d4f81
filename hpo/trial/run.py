"""One trial from configuration to outcome, in three steps: ``begin``, ``train`` and ``finish``."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from hpo.artifacts.best_weights import delete_stale_weights
from hpo.checks.verdict import verdict
from hpo.errors import LeaseLostError, StorageError
from hpo.events import TrialEnded, TrialPaused, TrialStarted
from hpo.heartbeat import on_beat
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.queue.leases import RELEASE_SECONDS
from hpo.records import Decision, EpochResult, Outcome, OutcomeState
from hpo.redact import redact
from hpo.settings import settings
from hpo.storage.attempts import OUT_OF_MEMORY, Deaths
from hpo.storage.fence import Lease
from hpo.storage.retry import RetryPolicy
from hpo.testing.faults import fault_point
from hpo.text import counted
from hpo.training.checkpoint_files import remove_checkpoints
from hpo.trial import output
from hpo.trial.context import BegunTrial, TrialContext, TrialControl
from hpo.trial.pruning import EndedEarlyError, beyond_limit, ended_early, rank_last_at_remaining_rungs
from hpo.trial.recorder import TrialRecorder
from hpo.trial.session import (
    BeyondLimitError,
    Products,
    Trainer,
    TrialFailedError,
    TrialSession,
    TrialStoppedError,
    beyond,
)
from hpo.trial.trainers import trainer_of
from hpo.trial.writer import BackgroundWriter


def run_trial(context: TrialContext, lease: Lease) -> None:
    """Train the configuration of the lease's slot, and record the outcome.

    A mistake in the trial itself (an exception, too little memory) ends it as failed. Raises
    ``LeaseLostError`` if another worker has taken the slot, or if it was released because the trial hung,
    ``StopRequestedError`` after a signal, ``StudyStoppedError`` after `hpo stop`, and ``StorageError`` if the
    database is unusable: a worker then resumes the trial from its checkpoint later.
    """
    with LeaseKeeper(context.store, lease, settings().hung_seconds) as lease_keeper:
        control = TrialControl(context, lease_keeper)
        trainer = trainer_of(context)
        begun: BegunTrial | None = None
        with on_beat(control.heartbeat_or_stop):
            try:
                begun = begin(context, lease, trainer)
                with closing(
                    BackgroundWriter(context.store, lease, begun.trial_id, context.spec.goal)
                ) as writer:
                    recorder = TrialRecorder(begun, writer)
                    end = train(begun, trainer, recorder, control)
                    finish(begun, recorder, control, end)
            finally:
                _record_output(context, begun)


@dataclass(frozen=True)
class TrainingEnd:
    """How a training ended."""

    state: OutcomeState
    products: Products
    error: str | None = None
    """A traceback."""
    decision: Decision | None = None
    """Why the search stopped or paused the trial."""
    beyond: str = ""
    """Which limit of the study it breaks, and how; empty for none."""


def begin(context: TrialContext, lease: Lease, trainer: Trainer) -> BegunTrial:
    """Register the trial and this attempt, or find the trial that an earlier worker registered."""
    started = time.monotonic()
    stage = context.stage(lease.stage)
    fault_point("trial.begin")
    found = context.suggestions.begin(
        lease,
        stage.spec,
        lease.given,
        images=context.dataset.fields if context.dataset else {},
        device=str(context.device),
    )
    attempt = context.store.begin_attempt(
        lease,
        found.trial_id,
        device=str(context.device),
        from_epoch=0,
        runtime=trainer.runtime(found.configuration),
    )
    fault_point("trial.begun")
    context.emit(
        TrialStarted(
            worker=context.worker,
            number=found.number,
            slot=lease.slot,
            configuration=found.values,
            epochs=found.configuration.epochs or 0,
            resumed=lease.trial_id is not None,
        )
    )
    return BegunTrial(
        context, lease, stage, found.trial_id, found.number, attempt, found.configuration, started
    )


def train(begun: BegunTrial, trainer: Trainer, recorder: TrialRecorder, control: TrialControl) -> TrainingEnd:
    """Train until the last epoch, or until the checks, the pruner or an error end it; record what happens."""
    session = TrialSession(begun, recorder, control)
    end = _run_to_end(trainer, session)
    if session.unsaved:
        recorder.note("checkpoint", 0, f"not every checkpoint could be written: {session.unsaved}")
    return end


def _run_to_end(trainer: Trainer, session: TrialSession) -> TrainingEnd:
    begun, recorder, products = session.begun, session.recorder, session.products
    try:
        _refuse_deadly(begun, trainer)
        trainer.train(session)
    except TrialStoppedError:
        recorder.record_findings(session.evidence)  # those of an epoch that did not end
        _rank_last(begun, len(recorder.curve))
        return TrainingEnd("pruned", products)
    except BeyondLimitError as too_much:
        _rank_last(begun, 0)
        return TrainingEnd("pruned", products, beyond=str(too_much))
    except EndedEarlyError as early:
        return TrainingEnd("pruned", products, decision=early.decision)
    except TrialFailedError as failure:
        recorder.fail(failure.cause, str(failure), failure.remedy)
        return TrainingEnd("failed", products, failure.trace)
    except (LeaseLostError, StorageError):
        raise
    except (Exception, SystemExit) as bug:  # sys.exit in a user's network ends the trial, not the worker
        recorder.fail("error", redact(f"{type(bug).__name__}: {bug}"), "")
        return TrainingEnd("failed", products, traceback.format_exc())
    return TrainingEnd("complete", products)


def _rank_last(begun: BegunTrial, done: int) -> None:
    """Rank a trial that a check ended after ``done`` epochs last at the rungs that it did not reach."""
    pruner, epochs = begun.stage.spec.pruner.rules, begun.configuration.epochs
    if epochs is not None:
        store, lease = begun.context.store, begun.lease
        rank_last_at_remaining_rungs(store, pruner, lease, begun.trial_id, epochs, done)


def _refuse_deadly(begun: BegunTrial, trainer: Trainer) -> None:
    """Raise ``TrialFailedError`` if the trial kills its workers or makes them hang."""
    if begun.attempt == 1:
        return
    deaths = begun.context.store.deaths_in_a_row(begun.trial_id)
    if deaths.count >= begun.context.spec.max_deaths:
        raise deadly(deaths, trainer.less_memory(begun.configuration))


def deadly(deaths: Deaths, less_memory: str) -> TrialFailedError:
    """Return the failure of a trial with these deaths; ``less_memory`` is the remedy if memory ran out."""
    if deaths.processes:
        return _deadly_to_itself(deaths, less_memory)
    workers = counted(deaths.count, "worker", "workers in a row")
    known = f"; the last one: {deaths.cause.removeprefix(f'{OUT_OF_MEMORY}: ')}" if deaths.cause else ""
    message = f"{workers} died or hung in epoch {deaths.epoch} of this trial{known}"
    if deaths.cause.startswith(OUT_OF_MEMORY):
        return TrialFailedError("out_of_memory", message, f"{less_memory}, or use fewer workers")
    return TrialFailedError("worker_died", message, f"{less_memory} if memory ran out")


def _deadly_to_itself(deaths: Deaths, less_memory: str) -> TrialFailedError:
    """Return the failure of a trial whose own process died, and not its workers."""
    times = f", {counted(deaths.count, 'time', 'times in a row')}" if deaths.count > 1 else ""
    how = " or ".join(deaths.processes)
    message = f"the process of the training {how} in epoch {deaths.epoch} of this trial{times}"
    return TrialFailedError("worker_died", message, f"find what ends it; {less_memory} if memory ran out")


def finish(begun: BegunTrial, recorder: TrialRecorder, control: TrialControl, end: TrainingEnd) -> None:
    """Record the outcome, or pause the trial."""
    seconds = time.monotonic() - begun.started
    outcome = _outcome(begun, recorder, end)
    recorder.writer.flush(control.wait)
    if end.decision is not None and end.decision.action == "paused":
        _pause(begun, outcome, end.decision)
    else:
        _end(begun, outcome, seconds)


def _pause(begun: BegunTrial, outcome: Outcome, decision: Decision) -> None:
    """Release the slot. The checkpoint stays; ``outcome`` counts if the trial is never resumed."""
    context = begun.context
    fault_point("trial.pause")
    context.store.pause_trial(begun.lease, begun.trial_id, outcome)
    fault_point("trial.paused")
    context.emit(TrialPaused(context.worker, begun.number, decision.reason))


def _end(begun: BegunTrial, outcome: Outcome, seconds: float) -> None:
    context = begun.context
    fault_point("trial.finish")
    context.store.finish_trial(begun.lease, begun.trial_id, outcome)
    fault_point("trial.finished")
    remove_checkpoints(begun.checkpoint_folder)
    delete_stale_weights(context.store, context.study_id, context.study_uid, context.spec.kept_trials)
    context.emit(
        TrialEnded(
            worker=context.worker,
            number=begun.number,
            state=outcome.state,
            value=outcome.value,
            verdict=outcome.verdict or "",
            seconds=seconds,
            objective=context.spec.objective,
        )
    )


def _outcome(begun: BegunTrial, recorder: TrialRecorder, end: TrainingEnd) -> Outcome:
    """Summarize the trial; first save its best weights if it is one of its study's best."""
    products, goal = end.products, begun.context.spec.goal
    best = goal.best_epoch(recorder.curve)
    value = goal.of(best) if best else None
    if begun.stage.kind == "test" and recorder.curve:
        # It was trained on its validation images: they measure nothing and choose no epoch.
        best, value = recorder.curve[-1], products.test_value
    value = value if products.value is None else products.value
    if end.state == "complete" and (value is None or not math.isfinite(value)):
        end = replace(end, state="failed")
        recorder.fail("error", f"the trial ended without a finite {goal.metric}", "")
    if end.state == "complete":
        end = _within_limits(begun, recorder, end, best)
    complete = end.state == "complete"
    if best and value is not None and complete:
        _keep_weights(recorder, products, best, value)
    seen = products.coverage() if products.coverage and products.is_checked else None
    summary = verdict(recorder.findings, seen, checked=products.is_checked, is_trial=True)
    outcome = Outcome(
        state=end.state,
        value=value if complete else None,
        verdict=summary.text,
        remedy=summary.remedy or None,
        cause=summary.cause,
        second_cause=summary.second_cause or None,
        confidence=summary.confidence,
        remedy_change=dict(summary.change) or None,
        error=end.error,
        best_epoch=best.epoch if best else None,
        parameters=products.parameters,
        milliseconds=products.milliseconds,
        weights_hash=products.weights_hash,
        test_value=products.test_value,
    )
    if end.beyond:
        return beyond_limit(outcome, end.beyond)
    return outcome if end.decision is None else ended_early(outcome, end.decision)


def _within_limits(
    begun: BegunTrial, recorder: TrialRecorder, end: TrainingEnd, best: EpochResult | None
) -> TrainingEnd:
    """Return the end of a training that reached its last epoch: within the limits, beyond one, or failed.

    A quantity that the user's own training reports is that of its best epoch.
    """
    spec = begun.context.spec
    wanted = spec.tradeoffs.wanted
    amounts = _amounts(recorder.curve, best, wanted, is_own=spec.is_own)
    for name in wanted:
        if spec.is_own and not math.isfinite(amounts.get(name, math.nan)):
            if name in spec.limit:
                message = f"the training reported no finite {name} in its best epoch, and limit: needs it"
                recorder.fail("error", message, f"report {name} with the objective")
                return replace(end, state="failed")
            recorder.note("tradeoff", 0, f"the training reported no finite {name} in its best epoch")
    broken = beyond(begun.stage, amounts)
    return replace(end, state="pruned", beyond=broken) if broken else end


def _amounts(
    curve: Sequence[EpochResult], best: EpochResult | None, wanted: Sequence[str], *, is_own: bool
) -> dict[str, float]:
    """Return what is known after training of the quantities that are wanted."""
    if is_own:
        return {} if best is None else {name: best.metric(name) for name in wanted}
    seconds = sum(epoch.seconds for epoch in curve)
    return {"images_per_second": sum(epoch.images for epoch in curve) / seconds} if seconds else {}


def _keep_weights(recorder: TrialRecorder, products: Products, best: EpochResult, value: float) -> None:
    if products.save_best is None:
        return
    try:
        products.save_best(best, value)
    except OSError as error:
        recorder.note("kept_weights", 0, f"its best weights could not be kept: {error.strerror or error}")


def _record_output(context: TrialContext, begun: BegunTrial | None) -> None:
    """Record what was printed, such as warnings. Does not wait long for an unreachable database."""
    text = output.drain()
    if text and begun is not None:
        with suppress(StorageError):
            context.store.store_output(begun.trial_id, begun.attempt, text, RetryPolicy(RELEASE_SECONDS))
