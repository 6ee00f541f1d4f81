"""One trial from configuration to outcome, in three steps: ``begin``, ``train`` and ``finish``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial

import torch

from hpo.artifacts.best_weights import BestWeights, TrialIdentity, delete_stale_weights, save_if_best
from hpo.checks.verdict import verdict
from hpo.config.configuration import Configuration
from hpo.data.split import split_key
from hpo.errors import DeviceError, LeaseLostError, OutOfMemoryError, StorageError
from hpo.events import TrialEnded, TrialPaused, TrialStarted
from hpo.heartbeat import on_beat
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.queue.leases import RELEASE_SECONDS
from hpo.records import Decision, EpochResult, Outcome, OutcomeState, Runtime
from hpo.redact import redact
from hpo.rng import Key
from hpo.settings import settings
from hpo.storage.attempts import OUT_OF_MEMORY, Deaths
from hpo.storage.fence import Lease
from hpo.storage.retry import RetryPolicy
from hpo.testing.faults import fault_point
from hpo.text import counted
from hpo.training import loop
from hpo.training.callbacks import Callback
from hpo.training.data import weights_hash
from hpo.training.device import translating_oom
from hpo.training.model_factory import parameter_count
from hpo.training.precision import processor, resolve_precision
from hpo.training.process_state import preserved
from hpo.training.setup import prepare
from hpo.training.state import EpochState
from hpo.trial import output
from hpo.trial.callbacks import (
    BestWeightsCallback,
    CheckpointCallback,
    ChecksCallback,
    FindingsCallback,
    PruningCallback,
    TrialStoppedError,
    check_before_training,
    less_memory,
    make_babysitter,
)
from hpo.trial.checkpoint import TrialState, restore
from hpo.trial.checkpoint_files import Checkpoints, remove_checkpoints
from hpo.trial.context import BegunTrial, TrialContext, TrialControl
from hpo.trial.pruning import EndedEarlyError, ended_early, rank_last_at_remaining_rungs
from hpo.trial.recorder import TrialRecorder
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
        begun: BegunTrial | None = None
        with on_beat(control.heartbeat_or_stop):
            try:
                begun = begin(context, lease)
                with closing(
                    BackgroundWriter(context.store, lease, begun.trial_id, context.spec.goal)
                ) as writer:
                    recorder = TrialRecorder(begun, writer)
                    with preserved():
                        end = train(begun, recorder, control)
                    finish(begun, recorder, control, end)
            finally:
                _record_output(context, begun)


@dataclass
class Products:
    """What a training has produced so far; None or empty if it did not get that far."""

    best: BestWeights = field(default_factory=BestWeights)
    parameters: int | None = None
    statistics_hash: str | None = None
    weights_hash: str | None = None
    test_value: float | None = None


@dataclass(frozen=True)
class TrainingEnd:
    """How a training ended."""

    state: OutcomeState
    products: Products
    error: str | None = None
    """A traceback."""
    decision: Decision | None = None
    """Why the search stopped or paused the trial."""


class _DeadlyTrialError(Exception):
    """The trial kills its workers or makes them hang."""

    def __init__(self, deaths: Deaths, configuration: Configuration) -> None:
        workers = counted(deaths.count, "worker", "workers in a row")
        known = f"; the last one: {deaths.cause.removeprefix(f'{OUT_OF_MEMORY}: ')}" if deaths.cause else ""
        message = f"{workers} died or hung in epoch {deaths.epoch} of this trial{known}"
        self.failure = ("worker_died", message, f"{less_memory(configuration)} if memory ran out")
        """Cause, message and remedy."""
        if deaths.cause.startswith(OUT_OF_MEMORY):
            self.failure = ("out_of_memory", message, f"{less_memory(configuration)}, or use fewer workers")
        super().__init__(message)


def begin(context: TrialContext, lease: Lease) -> BegunTrial:
    """Register the trial and this attempt, or find the trial that an earlier worker registered."""
    started = time.monotonic()
    stage = context.stage(lease.stage)
    fault_point("trial.begin")
    found = context.suggestions.begin(
        lease, stage.spec, lease.given, dataset=context.dataset.name, device=str(context.device)
    )
    attempt = context.store.begin_attempt(
        lease,
        found.trial_id,
        device=str(context.device),
        from_epoch=0,
        runtime=_runtime(found.configuration, context.device),
    )
    fault_point("trial.begun")
    context.emit(
        TrialStarted(
            worker=context.worker,
            number=found.number,
            slot=lease.slot,
            configuration=found.values,
            epochs=found.configuration.epochs,
            resumed=lease.trial_id is not None,
        )
    )
    return BegunTrial(
        context, lease, stage, found.trial_id, found.number, attempt, found.configuration, started
    )


def _runtime(configuration: Configuration, device: torch.device) -> Runtime:
    try:
        precision = resolve_precision(configuration.precision, device)
    except DeviceError:  # the training will fail with the same error
        precision = None
    return Runtime(processor(device), torch.get_num_threads(), precision)


def train(begun: BegunTrial, recorder: TrialRecorder, control: TrialControl) -> TrainingEnd:
    """Train until the last epoch, or until the checks, the pruner or an error end it; record what happens."""
    products = Products()
    with closing(Checkpoints(begun.checkpoint_folder, begun.lease.token)) as checkpoints:
        work = partial(_train, begun, recorder, control, checkpoints, products)
        end = _run_to_end(work, begun, recorder, products)
    if checkpoints.problem:
        recorder.note("checkpoint", 0, f"not every checkpoint could be written: {checkpoints.problem}")
    return end


def _run_to_end(
    work: Callable[[], None], begun: BegunTrial, recorder: TrialRecorder, products: Products
) -> TrainingEnd:
    context, configuration = begun.context, begun.configuration
    try:
        translating_oom(work, configuration, context.device)
    except TrialStoppedError:
        pruner, epochs, done = begun.stage.spec.pruner.rules, configuration.epochs, len(recorder.curve)
        rank_last_at_remaining_rungs(context.store, pruner, begun.lease, begun.trial_id, epochs, done)
        return TrainingEnd("pruned", products)
    except EndedEarlyError as early:
        return TrainingEnd("pruned", products, decision=early.decision)
    except OutOfMemoryError as exhausted:
        recorder.fail("out_of_memory", str(exhausted), less_memory(configuration))
        return TrainingEnd("failed", products)
    except _DeadlyTrialError as deadly:
        recorder.fail(*deadly.failure)
        return TrainingEnd("failed", products)
    except (LeaseLostError, StorageError):
        raise
    except (Exception, SystemExit) as bug:  # sys.exit in a user's network ends the trial, not the worker
        recorder.fail("error", redact(f"{type(bug).__name__}: {bug}"), "")
        return TrainingEnd("failed", products, traceback.format_exc())
    return TrainingEnd("complete", products)


def _train(
    begun: BegunTrial,
    recorder: TrialRecorder,
    control: TrialControl,
    checkpoints: Checkpoints,
    products: Products,
) -> None:
    _refuse_deadly(begun)
    context, stage = begun.context, begun.stage
    setup = prepare(
        begun.configuration, context.dataset, begun.key, split_key(Key(context.spec.seed)), context.device,
        stage.fold(begun.lease.slot),
    )  # fmt: skip
    products.statistics_hash = recorder.record_statistics(setup.data)
    products.parameters = parameter_count(setup.model)
    with make_babysitter(setup, context.spec.checks) as babysitter:
        state = TrialState(setup, babysitter, recorder, products.best)
        findings = FindingsCallback(recorder, babysitter)
        pruning = PruningCallback(begun, recorder, setup.steps_per_epoch)
        start = _resume(begun, state, checkpoints)
        if start is None:
            check_before_training(setup, babysitter)
        try:
            if start is None or start.steps == 0:  # findings within an epoch are recorded at its end
                findings.record()
                pruning.decide()
            best = BestWeightsCallback(products.best, setup.model, take_last=stage.kind == "test")
            callbacks: list[Callback] = [
                recorder.history,
                *([best] if context.spec.keep_best else []),
                ChecksCallback(babysitter, len(setup.data.val)),
                # Saved before it is recorded: a worker killed in between does not train the epoch again.
                CheckpointCallback(state, checkpoints, control),
                recorder,
                findings,
                pruning,
            ]
            with on_beat(control.heartbeat):  # from here on the checkpoint callback stops the trial
                for _ in loop.train(setup, callbacks, start):
                    control.check_stop()
                products.weights_hash = weights_hash(setup.model)
                if stage.kind == "test":
                    products.test_value = setup.accuracy_on_test(context.dataset)
                babysitter.after()
                findings.record()
        except TrialStoppedError:
            recorder.record_findings(babysitter)  # those of an epoch that did not end
            raise


def _refuse_deadly(begun: BegunTrial) -> None:
    deaths = begun.context.store.deaths_in_a_row(begun.trial_id)
    if deaths.count >= begun.context.spec.max_deaths:
        raise _DeadlyTrialError(deaths, begun.configuration)


def _resume(begun: BegunTrial, state: TrialState, checkpoints: Checkpoints) -> EpochState | None:
    """Restore the newest usable checkpoint; return its position, or None if the trial starts from scratch."""
    if begun.lease.trial_id is None:
        return None
    recorder = state.recorder
    restored, refused = restore(state, checkpoints)
    epochs, step = (len(restored.recorder.curve), restored.step) if restored else (0, -1)
    recorded = begun.context.store.rewind(begun.lease, begun.trial_id, epoch=epochs, step=step)
    for at_step, reason in refused:
        recorder.note("checkpoint", at_step, f"the checkpoint of step {at_step} was not used: it {reason}")
    if restored is None:
        return None
    recorder.resume(restored.recorder, state.babysitter)
    for epoch in recorder.curve[recorded:]:
        recorder.on_epoch_end(epoch)
    return restored.position


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
    delete_stale_weights(context.store, context.study_id, context.study_uid, context.spec.keep_best)
    context.emit(
        TrialEnded(
            worker=context.worker,
            number=begun.number,
            state=outcome.state,
            value=outcome.value,
            verdict=outcome.verdict or "",
            seconds=seconds,
        )
    )


def _outcome(begun: BegunTrial, recorder: TrialRecorder, end: TrainingEnd) -> Outcome:
    """Summarize the trial; first save its best weights if it is one of its study's best."""
    products, complete = end.products, end.state == "complete"
    best = max(recorder.curve, key=lambda epoch: epoch.val_accuracy, default=None)
    value = best.val_accuracy if best else None
    if begun.stage.kind == "test" and recorder.curve:
        # It was trained on its validation images: their accuracy means nothing and chooses no epoch.
        best, value = recorder.curve[-1], products.test_value
    if best and value is not None and complete:
        _keep_weights(begun, recorder, products, best, value)
    summary = verdict(recorder.findings, checked=begun.context.spec.checks.watch)
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
        weights_hash=products.weights_hash,
        test_value=products.test_value,
    )
    return outcome if end.decision is None else ended_early(outcome, end.decision)


def _keep_weights(
    begun: BegunTrial, recorder: TrialRecorder, products: Products, best: EpochResult, value: float
) -> None:
    context = begun.context
    identity = TrialIdentity(
        spec=context.spec,
        study_uid=context.study_uid,
        lease=begun.lease,
        number=begun.number,
        configuration=begun.configuration,
        dataset=context.dataset,
        statistics_hash=products.statistics_hash,
        parameters=products.parameters,
    )
    try:
        save_if_best(context.store, identity, best, value, products.best)
    except OSError as error:
        recorder.note("kept_weights", 0, f"its best weights could not be kept: {error.strerror or error}")


def _record_output(context: TrialContext, begun: BegunTrial | None) -> None:
    """Record what was printed, such as warnings. Does not wait long for an unreachable database."""
    text = output.drain()
    if text and begun is not None:
        with suppress(StorageError):
            context.store.store_output(begun.trial_id, begun.attempt, text, RetryPolicy(RELEASE_SECONDS))
