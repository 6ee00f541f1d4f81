"""One trial from configuration to outcome: the one place where search, data, model, training, checks and
results meet."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import torch

from hpo.artifacts.best_weights import BestWeights, TrialIdentity, delete_stale_weights, keep_if_best
from hpo.checks.babysitter import Babysitter
from hpo.checks.verdict import verdict
from hpo.config.configuration import Configuration
from hpo.config.study import StudySpec
from hpo.data.datasets import Dataset
from hpo.data.split import split_key
from hpo.errors import DeviceError, LeaseLostError, OutOfMemoryError, StorageError
from hpo.events import EpochDone, Event, FindingMade, TrialEnded, TrialPaused, TrialStarted
from hpo.heartbeat import on_beat
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.queue.leases import RELEASE_SECONDS
from hpo.records import Decision, EpochResult, Outcome, OutcomeState, Runtime
from hpo.redact import redact
from hpo.rng import Key
from hpo.search.suggest import Suggestions
from hpo.settings import settings
from hpo.stages.store import Stage
from hpo.storage.fence import Lease
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.testing.faults import fault_point
from hpo.training.data import weights_hash
from hpo.training.device import translating_oom
from hpo.training.model_factory import parameter_count
from hpo.training.precision import processor, resolve_precision
from hpo.training.state import EpochState
from hpo.trial import output
from hpo.trial.callbacks import TrialStoppedError, Watch, stop_if_fatal
from hpo.trial.checkpoint import restore
from hpo.trial.checkpoint_files import Checkpoints, slot_folder
from hpo.trial.pruning import EndedEarlyError, decide, ended_early, fall_behind, finding, rung_of
from hpo.trial.recorder import TrialRecorder
from hpo.trial.setup import TrialSetup, prepare
from hpo.trial.writer import BackgroundWriter


@dataclass(frozen=True)
class TrialContext:
    """What a worker has ready for every trial of its study."""

    spec: StudySpec
    study_id: int
    study_uid: str
    store: ResultsStore
    suggestions: Suggestions
    dataset: Dataset
    device: torch.device
    worker: str
    lease_seconds: float
    emit: Callable[[Event], None]
    stage: Callable[[str], Stage]
    """The study's stage of a name."""
    check_stop: Callable[[], None]
    """Raises ``StopRequestedError`` once this worker shall stop."""


class _GivenUpError(Exception):
    """The trial kills its workers or makes them hang; the message says how."""


def run_trial(bench: TrialContext, lease: Lease) -> None:
    """Train the configuration of the lease's slot, and record how it went.

    A mistake in the trial itself (an exception, no memory left) ends it as failed. Raises ``LeaseLostError``
    if another worker has taken the slot, or it was given back because the trial hung, ``StopRequestedError``
    after a signal, ``StudyStoppedError`` after `hpo stop`, ``StorageError`` if the database is unusable: then
    the trial goes on from its checkpoint another time.
    """
    with LeaseKeeper(bench.store, lease, settings().hung_seconds) as renewal:
        trial = _Trial(bench, lease, renewal)
        with on_beat(trial.progressed):
            try:
                trial.run()
            finally:
                trial.keep_output()


def surroundings(configuration: Configuration, device: torch.device) -> Runtime:
    """On what a trial of this configuration trains in this process."""
    try:
        precision = resolve_precision(configuration.precision, device)
    except DeviceError:  # the training will end with these words
        precision = None
    return Runtime(processor(device), torch.get_num_threads(), precision)


class _Trial:
    def __init__(self, bench: TrialContext, lease: Lease, renewal: LeaseKeeper) -> None:
        self.bench = bench
        self.lease = lease
        self.renewal = renewal
        self.training = False
        """Whether a stop is looked for, and the state saved, between steps."""
        self.stage = bench.stage(lease.stage)
        self.key = self.stage.key(lease.slot)
        folder = slot_folder(settings().checkpoints.expanduser(), bench.study_uid, lease.stage, lease.slot)
        self.saved = Checkpoints(folder, lease.token)
        self.parameters: int | None = None
        self.weights: str | None = None
        self.statistics: str | None = None
        self.best = BestWeights()
        self.test_value: float | None = None
        self.decision: Decision | None = None
        """Why the search stopped or paused the trial."""
        self.attempt: int | None = None

    def progressed(self) -> None:
        """Called whenever the work goes on. Before training there is nothing to save: a stop is at once."""
        self.renewal.heartbeat()
        if not self.training:
            self.renewal.raise_if_lost()
            self.check_stop()

    def check_stop(self) -> None:
        """Raises ``StopRequestedError`` after a signal or `hpo stop`."""
        self.bench.check_stop()
        self.renewal.check_stop()

    def keep_output(self) -> None:
        """What was printed, such as warnings; not waited for where the database is away."""
        text = output.take()
        if text and self.attempt is not None:
            with suppress(StorageError):
                self.bench.store.keep_output(self.trial_id, self.attempt, text, RetryPolicy(RELEASE_SECONDS))

    def _waits(self) -> None:
        """For a database that is away: that is no hanging."""
        self.renewal.heartbeat()
        self.check_stop()

    def run(self) -> None:
        started = time.monotonic()
        self._begin()
        self.outbox = BackgroundWriter(self.bench.store, self.lease, self.trial_id)
        self.journal = TrialRecorder(self.outbox)
        with closing(self.outbox):
            with closing(self.saved):
                state, error = self._outcome()
            if self.saved.problem:
                self.journal.note(
                    "checkpoint", 0, f"not every checkpoint could be written: {self.saved.problem}"
                )
            if self.decision is not None and self.decision.action == "paused":
                self._pause(self.decision)
            else:
                self._finish(state, error, time.monotonic() - started)

    def _outcome(self) -> tuple[OutcomeState, str | None]:
        try:
            translating_oom(self._train, self.configuration, self.bench.device)
        except TrialStoppedError:
            pruner, done = self.stage.spec.pruner.rules, len(self.journal.curve)
            fall_behind(self.bench.store, pruner, self.lease, self.trial_id, self.configuration.epochs, done)
            return "pruned", None
        except EndedEarlyError as early:
            self.decision = early.decision
            return "pruned", None
        except OutOfMemoryError as exhausted:
            self.journal.fail("out_of_memory", str(exhausted), "lower batch_size or width")
            return "failed", None
        except _GivenUpError as deaths:
            self.journal.fail("worker_died", str(deaths), "lower batch_size or width if memory ran out")
            return "failed", None
        except (LeaseLostError, StorageError):
            raise
        except Exception as bug:
            self.journal.fail("error", redact(f"{type(bug).__name__}: {bug}"), "")
            return "failed", traceback.format_exc()
        return "complete", None

    def _begin(self) -> None:
        bench = self.bench
        fault_point("trial.begin")
        begun = bench.suggestions.begin(
            self.lease,
            self.stage.spec,
            self.lease.given,
            dataset=bench.dataset.name,
            device=str(bench.device),
        )
        self.trial_id, self.number, self.configuration = begun.trial_id, begun.number, begun.configuration
        self.attempt = bench.store.begin_attempt(
            self.lease,
            self.trial_id,
            device=str(bench.device),
            from_epoch=0,
            surroundings=surroundings(self.configuration, bench.device),
        )
        fault_point("trial.begun")
        bench.emit(
            TrialStarted(
                worker=bench.worker,
                number=self.number,
                slot=self.lease.slot,
                configuration=begun.values,
                epochs=self.configuration.epochs,
                resumed=self.lease.trial_id is not None,
            )
        )

    def _train(self) -> None:
        bench = self.bench
        self._give_up_if_it_kills()
        ready = prepare(
            self.configuration, bench.dataset, self.key, split_key(Key(bench.spec.seed)), bench.device,
            self.stage.fold(self.lease.slot),
        )  # fmt: skip
        self.statistics = self.journal.keep_statistics(ready.data)
        self.parameters = parameter_count(ready.model)
        with self._watched(ready.babysitter(bench.spec.checks)) as sitter:
            start = self._go_on(ready, sitter)
            if start is None:
                ready.check_before(sitter)
            if start is None or start.steps == 0:  # what was found within an epoch is stored at its end
                self._report(sitter)
                self._look_at_others(ready)
            watch = Watch(self, ready, sitter)
            self.training = True
            for epoch in ready.epochs(watch, start, watch):
                self.journal.curve.append(epoch)
                if bench.spec.keep_best:
                    # Where the validation images are learned too, they choose no epoch.
                    keep = self.best.take if self.stage.kind == "test" else self.best.offer
                    keep(epoch, ready.model)
                ready.tell(sitter, epoch)
                # First, so that a worker killed here trains no epoch again.
                watch.save(EpochState(epoch.epoch + 1))
                self._record(epoch)
                self._report(sitter)
                self._look_at_others(ready)
                self.check_stop()
            self.weights = weights_hash(ready.model)
            if self.stage.kind == "test":
                self.test_value = ready.test_accuracy(bench.dataset)
            sitter.after()
            self._report(sitter)

    def _give_up_if_it_kills(self) -> None:
        deaths, epoch = self.bench.store.deaths_in_a_row(self.trial_id)
        if deaths >= self.bench.spec.max_deaths:
            raise _GivenUpError(f"{deaths} workers in a row died or hung in epoch {epoch} of this trial")

    def _go_on(self, ready: TrialSetup, sitter: Babysitter) -> EpochState | None:
        """Take the trial up where an earlier worker left it; None if it starts at its beginning."""
        if self.lease.trial_id is None:
            return None
        progress, refused = restore(self.saved, ready, sitter)
        epochs, step = (len(progress.curve), progress.step) if progress else (0, -1)
        recorded = self.bench.store.rewind(self.lease, self.trial_id, epoch=epochs, step=step)
        for place, reason in refused:
            self.journal.note(
                "checkpoint", place, f"the checkpoint of step {place} was not used: it {reason}"
            )
        if progress is None:
            return None
        self.journal.go_on(progress, sitter)
        self.best = progress.best
        for epoch in self.journal.curve[recorded:]:
            self._record(epoch)
        return progress.position

    @contextmanager
    def _watched(self, sitter: Babysitter) -> Iterator[Babysitter]:
        """What ``sitter`` found is stored even if it stops the training between two reports."""
        with sitter:
            try:
                yield sitter
            except TrialStoppedError:
                self._keep(sitter)
                raise

    def _report(self, sitter: Babysitter) -> None:
        """Store what is new, and raise ``TrialStoppedError`` if something is fatal."""
        self._keep(sitter)
        stop_if_fatal(self.journal.findings)

    def _keep(self, sitter: Babysitter) -> None:
        new = sitter.findings[self.journal.findings_stored :]
        self.journal.keep(sitter)
        for each in new:
            if each.severity != "pass":
                said = f"{each.layer}: {each.message}" if each.layer else each.message
                self.bench.emit(FindingMade(self.bench.worker, self.number, each.severity, each.check, said))

    def _look_at_others(self, ready: TrialSetup) -> None:
        """At a rung, raise ``EndedEarlyError`` if the search ends the trial there."""
        pruner = self.stage.spec.pruner.rules
        rung = rung_of(pruner, self.lease.slot, self.configuration.epochs, self.journal.curve)
        if pruner is None or rung is None:
            return
        decision = decide(self.bench.store, pruner, self.lease, self.trial_id, rung)
        self.journal.decided(finding(decision, rung, rung.epoch * ready.steps_per_epoch - 1))
        if decision.action != "goes_on":
            raise EndedEarlyError(decision)

    def _record(self, epoch: EpochResult) -> None:
        self.journal.record(epoch)
        self.bench.emit(
            EpochDone(
                worker=self.bench.worker,
                number=self.number,
                epoch=epoch.epoch,
                epochs=self.configuration.epochs,
                train_loss=epoch.train_loss,
                val_loss=epoch.val_loss,
                val_accuracy=epoch.val_accuracy,
                images_per_second=epoch.images_per_second,
            )
        )

    def _finish(self, state: OutcomeState, error: str | None, seconds: float) -> None:
        outcome = self._summed_up(state, error)
        self.outbox.flush(self._waits)
        fault_point("trial.finish")
        self.bench.store.finish_trial(self.lease, self.trial_id, outcome)
        fault_point("trial.finished")
        self.saved.remove()
        delete_stale_weights(
            self.bench.store, self.bench.study_id, self.bench.study_uid, self.bench.spec.keep_best
        )
        self.bench.emit(
            TrialEnded(
                worker=self.bench.worker,
                number=self.number,
                state=state,
                value=outcome.value,
                verdict=outcome.verdict or "",
                seconds=seconds,
            )
        )

    def _pause(self, decision: Decision) -> None:
        """Give the slot back; the checkpoint stays, and what is known now is told if nobody lets it go on."""
        self.outbox.flush(self._waits)
        fault_point("trial.pause")
        self.bench.store.pause_trial(self.lease, self.trial_id, self._summed_up("pruned", None))
        fault_point("trial.paused")
        self.bench.emit(TrialPaused(self.bench.worker, self.number, decision.words))

    def _summed_up(self, state: OutcomeState, error: str | None) -> Outcome:
        best = max(self.journal.curve, key=lambda epoch: epoch.val_accuracy, default=None)
        value = best.val_accuracy if best else None
        if self.stage.kind == "test" and self.journal.curve:
            # It has learned its validation images: they say nothing, and choose no epoch.
            best, value = self.journal.curve[-1], self.test_value
        if best and value is not None and state == "complete":
            self._keep_weights(best, value)
        said = verdict(self.journal.findings)
        outcome = Outcome(
            state=state,
            value=value if state == "complete" else None,
            verdict=said.text,
            remedy=said.remedy or None,
            cause=said.cause,
            second_cause=said.second_cause or None,
            confidence=said.confidence,
            remedy_change=dict(said.change) or None,
            error=error,
            best_epoch=best.epoch if best else None,
            parameters=self.parameters,
            weights_hash=self.weights,
            test_value=self.test_value,
        )
        return outcome if self.decision is None else ended_early(outcome, self.decision)

    def _keep_weights(self, best: EpochResult, value: float) -> None:
        bench = self.bench
        whose = TrialIdentity(
            spec=bench.spec,
            study_uid=bench.study_uid,
            lease=self.lease,
            number=self.number,
            configuration=self.configuration,
            dataset=bench.dataset,
            statistics_hash=self.statistics,
            parameters=self.parameters,
        )
        try:
            keep_if_best(bench.store, whose, best, value, self.best)
        except OSError as error:
            self.journal.note(
                "kept_weights", 0, f"its best weights could not be kept: {error.strerror or error}"
            )
