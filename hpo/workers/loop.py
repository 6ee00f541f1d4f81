"""The worker's main loop: choose a study, do one step for it, repeat."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from hpo.config.parsing.sections import GPU, lacking
from hpo.config.study import StudySpec
from hpo.errors import FailingStudyError, UserError
from hpo.events import DatabaseAway, DatabaseBack, DatabaseRetried, Event, StudyOver, StudySkipped, StudyTaken
from hpo.heartbeat import beat
from hpo.queue.control import stop
from hpo.queue.listener import Wakeups
from hpo.queue.scheduling import OpenStudy, open_studies
from hpo.queue.worker_registry import WorkerRegistration
from hpo.rng import JITTER
from hpo.settings import settings
from hpo.signals import StudyStoppedError
from hpo.storage.identity import worker_id
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.training.cores import divide_threads
from hpo.training.device import prepare_process, resolve_device
from hpo.training.precision import Resolved, resolve_precision
from hpo.training.users_code import allow_only
from hpo.workers.messages import Emit, Ready, WorkOrder
from hpo.workers.study_runner import StudyRunner, load_study

IDLE_SECONDS = 0.5
"""Interval at which an idle worker checks whether another worker's lease has expired."""
LONGEST_IDLE_SECONDS = 5.0
"""A service without work backs off to this interval: one read of the database."""
QUIET_SECONDS = 30.0
"""Interval where notifications arrive: for changes without one, and for the heartbeat."""
WAKING_SECONDS = 0.1
"""Spreads idle workers that receive the same notification."""
SKIP_SECONDS = 60.0
"""A study that cannot be served is skipped for this long."""
_MOST_LOADED = 4
"""Studies whose images stay open in a worker."""


def serve(
    order: WorkOrder,
    emit: Emit,
    check_stop: Callable[[], None],
    on_ready: Callable[[Ready], None],
) -> None:
    """Work until no slot of the studies is waiting or held by a worker; ``on_ready`` gets the device used.

    Raises ``StopRequestedError`` when ``check_stop`` does, after releasing the lease. Unless the order is a
    service's, raises ``UserError`` if a study cannot be served, ``StudyStoppedError`` after `hpo stop`, and
    ``FailingStudyError`` when too many trials failed in a row.
    """
    threads = order.threads or divide_threads(order.workers)
    prepare_process(threads)
    # A run's owner has its study file at hand; the studies that a service finds may be anyone's.
    allow_only(_allowed_models() if order.service else None)
    worker = worker_id()
    retry = RetryPolicy(
        sleep=partial(_sleep, check_stop),
        on_outage=lambda: emit(DatabaseAway(worker)),
        on_recovery=lambda: emit(DatabaseBack(worker)),
        on_retry=(lambda: emit(DatabaseRetried(worker))) if order.service else (lambda: None),
    )
    # Retry from the start: the replacement of a dead worker may start while the database is unreachable.
    # The run has created the database: where it is gone, a new one would be left behind empty.
    with retry.call(lambda: ResultsStore(order.storage_url, retry, create=False)) as store:
        loop = WorkerLoop(order, store, retry, emit, check_stop)
        on_ready(loop.prepare(threads))
        registration = WorkerRegistration(
            store, worker, device=str(loop.device), tags=loop.tags, studies=order.studies
        )
        try:
            loop.run(registration)
        finally:
            loop.wakeups.close()
            registration.deregister()


def _allowed_models() -> list[str]:
    return [each.strip() for each in settings().allowed_models.split(",") if each.strip()]


def _sleep(check_stop: Callable[[], None], seconds: float) -> None:
    """Sleep, but stop when this worker has to."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat()  # waiting for an unreachable database is not a hang
        check_stop()
        time.sleep(min(left, IDLE_SECONDS))


class WorkerLoop:
    """The main loop of a worker, which serves one study or several."""

    def __init__(
        self,
        order: WorkOrder,
        store: ResultsStore,
        retry: RetryPolicy,
        emit: Emit,
        check_stop: Callable[[], None],
    ) -> None:
        self.device = resolve_device(order.device)
        self.tags = order.tags if self.device.type == "cpu" else order.tags | {GPU}
        self.wakeups = Wakeups(store.engine)
        self._order = order
        self._store = store
        self._retry = retry
        self._emit = emit
        self._check_stop = check_stop
        self._worker = worker_id()
        self._runners: dict[int, StudyRunner] = {}
        """Loaded studies by id, the most recently served last."""
        self._loaded_from: dict[int, OpenStudy] = {}
        """Their state in the database when they were loaded."""
        self._skipped_until: dict[int, float] = {}
        self._failures_since: dict[int, datetime] = {}
        """Start of the count of each study's failures."""
        self._current = ""
        """The study of the last event."""
        self._idle = IDLE_SECONDS
        """Length of the next rest; where notifications arrive, the delay after one."""

    def prepare(self, threads: int) -> Ready:
        """Return what this worker trains on; loads the studies of a run, which must be servable."""
        precision = None
        if not self._order.service:
            for name in self._order.studies:
                runner = self._retry.call(partial(self._load, name))
                self._refuse_needs(runner)
                self._runners[runner.context.study_id] = runner
                precision = self._precision(runner.context.spec)
        return Ready(self._worker, str(self.device), precision, threads, self.tags)

    def _precision(self, spec: StudySpec) -> Resolved | None:
        """Return the precision that the study trains in; the user's own training decides by itself."""
        return None if spec.is_own else resolve_precision(spec.fixed.get("precision", "auto"), self.device)

    def run(self, registration: WorkerRegistration) -> None:
        """Run until nothing is left to do; raises ``StopRequestedError`` when the worker has to stop."""
        while True:
            self._check_stop()
            studies = open_studies(self._store, self._order.studies)
            self._unload_finished(studies)
            servable = [each for each in studies if self._can_serve(each)]
            if self._serve_first(servable):
                self._idle = IDLE_SECONDS
                continue
            if not self._order.waits and not servable:
                return
            registration.heartbeat()
            if self.wakeups.listen():
                self._idle = WAKING_SECONDS
            elif self.wakeups.listens:
                self._rest_until_notified(servable)
            else:
                self._rest()

    def _rest(self) -> None:
        self._wait(self._idle)
        self._back_off()

    def _back_off(self) -> None:
        """Make the next rest longer, with jitter, so that workers spread."""
        longest = LONGEST_IDLE_SECONDS if self._order.waits else IDLE_SECONDS
        self._idle = min(1.5 * self._idle, longest) * JITTER.uniform(0.8, 1.0)

    def _rest_until_notified(self, studies: list[OpenStudy]) -> None:
        """Rest until a notification or the end of a lease; back off after notifications without work."""
        ends = [max(each.lease_ends, IDLE_SECONDS) for each in studies if each.lease_ends is not None]
        if not self._wait(min([QUIET_SECONDS * JITTER.uniform(0.8, 1.0), *ends])):
            self._idle = WAKING_SECONDS
            return
        _sleep(self._check_stop, JITTER.uniform(0.0, self._idle))
        self._back_off()
        self.wakeups.wait(0)  # drop notifications of changes that the next read will see

    def _wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for a notification; return whether one arrived."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check_stop()
            if self.wakeups.wait(min(left, IDLE_SECONDS)):
                return True
        return False

    def _can_serve(self, study: OpenStudy) -> bool:
        if not self._order.service:
            return True
        is_skipped = self._skipped_until.get(study.study_id, 0.0) > time.monotonic()
        return not (study.stopped or is_skipped or lacking(study.needs, self.tags))

    def _serve_first(self, studies: list[OpenStudy]) -> bool:
        """Do one step for the first study that has work; return False if none has.

        Among equals, first the one that this worker has not served for the longest time.
        """
        places = {study_id: place for place, study_id in enumerate(self._runners)}
        order = sorted(
            studies, key=lambda each: (-each.priority, each.at_work, places.get(each.study_id, -1))
        )
        return any(self._serve(each) for each in order)

    def _serve(self, study: OpenStudy) -> bool:
        try:
            return self._load_study(study).step(self.wakeups.close)
        except StudyStoppedError:
            if not self._order.service:
                raise
        except FailingStudyError as error:
            if not self._order.service:
                raise
            stop(self._store, study.study_id)
            self._skip_for_now(study, f"{error} It is stopped now: `hpo resume {study.name}` resumes it.")
        except UserError as error:
            if not self._order.service:
                raise
            self._skip_for_now(study, str(error))
        return False

    def _load_study(self, study: OpenStudy) -> StudyRunner:
        """Return the study's runner, marked as the most recently served; unload the least recent."""
        runner = self._runners.pop(study.study_id, None)
        if runner is None:
            runner = self._load(study.name, self._failures_since.get(study.study_id))
            self._failures_since[study.study_id] = runner.failures_since
            self._loaded_from[study.study_id] = study
        self._runners[study.study_id] = runner
        for other in list(self._runners)[:-_MOST_LOADED]:
            del self._runners[other]
        return runner

    def _load(self, name: str, failures_since: datetime | None = None) -> StudyRunner:
        emit = partial(self._emit_for, name)
        return load_study(name, self._store, self._order.device, emit, self._check_stop, failures_since)

    def _emit_for(self, study: str, event: Event) -> None:
        if study != self._current:
            self._current = study
            self._emit(StudyTaken(self._worker, study))
        self._emit(event)

    def _skip_for_now(self, study: OpenStudy, reason: str) -> None:
        self._runners.pop(study.study_id, None)
        self._skipped_until[study.study_id] = time.monotonic() + SKIP_SECONDS * JITTER.uniform(0.8, 1.2)
        self._emit(StudySkipped(self._worker, study.name, reason))

    def _unload_finished(self, still_open: list[OpenStudy]) -> None:
        """Unload studies that are over, stopped, deleted, or changed since they were loaded."""
        known = {each.study_id: each for each in still_open}
        for study_id, runner in list(self._runners.items()):
            if study_id not in known and runner.is_over():
                runner.conclude()
                self._emit(StudyOver(self._worker, runner.context.spec.study))
            before = self._loaded_from.get(study_id)
            changed = before is not None and study_id in known and before.identity != known[study_id].identity
            if study_id not in known or changed:
                del self._runners[study_id]
        running = {each.study_id for each in still_open if not each.stopped}
        self._failures_since = {
            study_id: since for study_id, since in self._failures_since.items() if study_id in running
        }

    def _refuse_needs(self, runner: StudyRunner) -> None:
        spec = runner.context.spec
        missing = lacking(spec.needs, self.tags)
        if missing:
            raise UserError(
                f"study {spec.study} needs {', '.join(missing)}, which workers here do not have: add "
                f"--tags or --device, or submit the study to workers elsewhere with `hpo submit`"
            )
