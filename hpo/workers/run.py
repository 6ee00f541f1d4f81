"""One run of a study: submit it, have workers train its trials, summarize."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from hpo.config.study import StudySpec
from hpo.diagnosis.refresh import refresh_findings
from hpo.errors import StorageError, UserError
from hpo.events import TRIALS_FAILED, Event, RunSummary, StudyReady, TrialEnded
from hpo.maintenance.deletion import withdraw_study
from hpo.queue.leases import release_dead_local
from hpo.queue.slots import StudyProgress, study_progress
from hpo.signals import StopFlag, StopRequestedError, sleep_until_signal, stop_on_signals
from hpo.stages.advance import advance
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.workers.messages import Emit, Ready, WorkOrder
from hpo.workers.process import open_process_pool
from hpo.workers.submit import SubmittedStudy, submit_study
from hpo.workers.supervisor import Supervisor, WorkerEvents, WorkerPool


def run_study(
    spec: StudySpec,
    storage_url: str,
    *,
    workers: int,
    device: str,
    on_event: Emit,
    tags: frozenset[str] = frozenset(),
) -> RunSummary:
    """Submit or resume the study and train its trials with local processes until all are over.

    After a signal the workers stop at a safe point and release their slots; the summary reports it.
    Raises ``UserError`` or ``WorkerError`` with a worker's message if the study cannot be trained.
    """
    started = time.monotonic()
    order = WorkOrder(storage_url, (spec.study,), device, workers, tags)
    with stop_on_signals() as stop, open_process_pool(order) as pool:
        return StudyRun(spec, storage_url, pool, stop, on_event, started).run()


def exit_code_of(progress: StudyProgress) -> int:
    """Return the exit code of a run that ended without a signal."""
    if progress.done < progress.total:
        return 1
    return TRIALS_FAILED if progress.failed or not progress.complete else 0


class StudyRun:
    """One run of a study with an open pool of workers; ``started`` is a time of the monotonic clock."""

    def __init__(
        self,
        spec: StudySpec,
        storage_url: str,
        pool: WorkerPool,
        stop: StopFlag,
        on_event: Emit,
        started: float,
    ) -> None:
        self._spec = spec
        self._storage_url = storage_url
        self._pool = pool
        self._stop = stop
        self._on_event = on_event
        self._started = started
        self._events = WorkerEvents(self._count, self._announce)
        self._finished, self._total = 0, spec.trials
        """Trials of the study that are over, and all of them, as far as is known here."""
        self._progress = StudyProgress()
        self._submitted: SubmittedStudy | None = None
        self._announced = False

    def run(self) -> RunSummary:
        """Run until the study is done or its workers have ended. Raises what ``Supervisor.run`` raises."""
        retry = RetryPolicy(sleep=partial(sleep_until_signal, self._stop))
        # A signal also ends the wait for an unreachable database; the summary then has what is known.
        with ResultsStore(self._storage_url, retry) as store, suppress(StopRequestedError):
            self._submitted = submit_study(store, self._spec)
            self._update(self._submitted.progress)
            if self._finished < self._total:
                self._train(store)
            self._conclude(store, self._submitted.study_id)
        return self._summary()

    def _train(self, store: ResultsStore) -> None:
        # A trial that kills its workers is given up before this many of them crash.
        most_crashes = self._spec.max_deaths * self._pool.count
        try:
            Supervisor(self._pool, store, self._events, self._stop, most_crashes).run()
        except UserError:
            if self._submitted and self._submitted.is_new:
                # A refused study is not kept: its corrected file would differ from it, and be refused too.
                with suppress(StorageError):
                    withdraw_study(store, self._submitted.study_id)
            raise

    def _conclude(self, store: ResultsStore, study_id: int) -> None:
        self._pool.end()
        release_dead_local(store, study_id)
        if self._spec.is_own and self._spec.stages:
            advance(store, self._spec.study)  # a worker killed after the last confirming trial ranked nothing
        refresh_findings(store, self._spec.study)
        self._update(study_progress(store, study_id))

    def _summary(self) -> RunSummary:
        return RunSummary(
            study=self._spec.study,
            finished=self._finished,
            total=self._total,
            interrupted=bool(self._stop.signum),
            seconds=time.monotonic() - self._started,
            exit_code=self._stop.exit_code if self._stop.signum else exit_code_of(self._progress),
            stopped=self._events.stopped,
            problems=self._events.problems,
            complete=self._progress.complete,
            pruned=self._progress.pruned,
            failed=self._progress.failed,
            warnings=list(self._submitted.warnings) if self._submitted and not self._announced else [],
        )

    def _update(self, progress: StudyProgress) -> None:
        self._progress = progress
        self._finished, self._total = progress.done, progress.total

    def _count(self, event: Event) -> None:
        self._finished += isinstance(event, TrialEnded)
        self._on_event(event)

    def _announce(self, ready: Ready) -> None:
        """Emit ``StudyReady`` when the first worker is ready."""
        if self._announced:
            return
        self._announced = True
        assert self._submitted is not None
        self._on_event(
            StudyReady(
                study=self._spec.study,
                dataset=self._submitted.dataset,
                origin=self._submitted.origin,
                trials_done=self._submitted.progress.done,
                trials_total=self._submitted.progress.total,
                workers=self._pool.count,
                threads_per_worker=ready.threads,
                device=ready.device,
                precision=ready.precision,
                reclaimed=self._submitted.reclaimed,
                costs=self._spec.trial_costs,
                warnings=self._submitted.warnings,
                objective=self._spec.objective,
                direction=self._spec.goal.direction,
            )
        )
