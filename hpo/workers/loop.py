"""The worker loop, in this process: choose a study, do one thing for it, again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from hpo.config.parsing.sections import GPU, lacking
from hpo.errors import FailingStudyError, UserError
from hpo.events import DatabaseAway, DatabaseBack, DatabaseRetried, Event, StudyOver, StudySkipped, StudyTaken
from hpo.heartbeat import beat
from hpo.queue.control import stop
from hpo.queue.listener import Wakeups
from hpo.queue.scheduling import OpenStudy, open_studies
from hpo.queue.worker_registry import WorkerRegistration
from hpo.settings import settings
from hpo.signals import StudyStoppedError
from hpo.storage.identity import worker_id
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.training.cores import divide_threads
from hpo.training.device import prepare_process, resolve_device
from hpo.training.model_factory import allow_only
from hpo.training.precision import resolve_precision
from hpo.workers.messages import Emit, Ready, WorkOrder
from hpo.workers.study_runner import StudyRunner, load_runner

IDLE_SECONDS = 0.5
"""How often a worker without a slot looks whether another's lease has ended."""
LONGEST_IDLE_SECONDS = 5.0
"""A service that finds nothing looks ever more seldom, up to this: one read of the database."""
QUIET_SECONDS = 30.0
"""How often it looks where it is told of changes: for what nobody tells, and to give a sign."""
WAKING_SECONDS = 0.1
"""Idle workers that are told of the same do not all look at the same instant."""
SKIP_SECONDS = 60.0
"""For how long a study that cannot be served is passed over."""
_KEPT = 4
"""Studies whose images stay open in a worker."""


def serve(
    order: WorkOrder,
    emit: Emit,
    check_stop: Callable[[], None],
    on_ready: Callable[[Ready], None],
) -> None:
    """Work until no slot of the studies is waiting or held by anyone; ``on_ready`` hears on what.

    Raises ``StopRequestedError`` when ``check_stop`` does, with the lease given back. Unless the order is a
    service's, raises ``UserError`` if a study cannot be served, ``StudyStoppedError`` after `hpo stop`, and
    ``FailingStudyError`` when too many trials failed in a row.
    """
    threads = order.threads or divide_threads(order.workers)
    prepare_process(threads)
    # A run is of a study file that its owner has at hand; what a service finds may be anybody's.
    allow_only(_allowed_models() if order.service else None)
    worker = worker_id()
    patience = RetryPolicy(
        sleep=partial(_sleep, check_stop),
        away=lambda: emit(DatabaseAway(worker)),
        back=lambda: emit(DatabaseBack(worker)),
        again=(lambda: emit(DatabaseRetried(worker))) if order.service else (lambda: None),
    )
    # Patient from the start: whoever replaces a dead worker may come while the database is away.
    with patience.waits_for(lambda: ResultsStore(order.storage_url, patience)) as store:
        loop = _Loop(order, store, patience, emit, check_stop)
        on_ready(loop.ready(threads))
        presence = WorkerRegistration(
            store, worker, device=str(loop.device), tags=loop.tags, studies=order.studies
        )
        try:
            loop.run(presence)
        finally:
            loop.wakeups.close()
            presence.deregister()


def _allowed_models() -> list[str]:
    return [each.strip() for each in settings().allowed_models.split(",") if each.strip()]


def _sleep(check_stop: Callable[[], None], seconds: float) -> None:
    """Sleep, but stop when this worker shall."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat()  # who waits for a database that is away does not hang
        check_stop()
        time.sleep(min(left, IDLE_SECONDS))


class _Loop:
    """A worker that goes from study to study."""

    def __init__(
        self,
        order: WorkOrder,
        store: ResultsStore,
        patience: RetryPolicy,
        emit: Emit,
        check_stop: Callable[[], None],
    ) -> None:
        self.device = resolve_device(order.device)
        self.tags = order.tags if self.device.type == "cpu" else order.tags | {GPU}
        self._order = order
        self._store = store
        self._patience = patience
        self._emit = emit
        self._check_stop = check_stop
        self._worker = worker_id()
        self._taken: dict[int, StudyRunner] = {}
        """By id, the one that was served last at the end."""
        self._skipped: dict[int, float] = {}
        """Until when studies are passed over, by their ids."""
        self._as_taken: dict[int, OpenStudy] = {}
        """What the database said of those when they were taken up."""
        self._since: dict[int, datetime] = {}
        """Since when failures of a study count here."""
        self._current = ""
        self._idle = IDLE_SECONDS
        """How long the next rest is; where it is told of changes, how long after that it looks."""
        self.wakeups = Wakeups(store.engine)

    def ready(self, threads: int) -> Ready:
        """Who this worker is; what one study alone asks for is looked at first."""
        precision = None
        if not self._order.service:
            for name in self._order.studies:
                taken = self._patience.waits_for(partial(self._take_up, name))
                self._refuse_needs(taken)
                self._taken[taken.bench.study_id] = taken
                precision = resolve_precision(taken.bench.spec.fixed.get("precision", "auto"), self.device)
        return Ready(self._worker, str(self.device), precision, threads, self.tags)

    def run(self, presence: WorkerRegistration) -> None:
        """Until there is nothing more to do, or the worker shall stop."""
        while True:
            self._check_stop()
            studies = open_studies(self._store, self._order.studies)
            self._let_go(studies)
            mine = [each for each in studies if self._is_mine(each)]
            if self._serve_first(mine):
                self._idle = IDLE_SECONDS
                continue
            if not self._order.waits and not mine:
                return
            presence.heartbeat()
            if self.wakeups.listen():
                self._idle = WAKING_SECONDS
            elif self.wakeups.listens:
                self._rest_until_told(mine)
            else:
                self._rest()

    def _rest(self) -> None:
        """A little longer each time where more may come at any time; jittered, so that workers spread."""
        self._wait(self._idle)
        self._rest_longer()

    def _rest_longer(self) -> None:
        longest = LONGEST_IDLE_SECONDS if self._order.waits else IDLE_SECONDS
        self._idle = min(1.5 * self._idle, longest) * random.uniform(0.8, 1.0)

    def _rest_until_told(self, studies: list[OpenStudy]) -> None:
        """Or until a lease of these studies runs out. Who is told for nothing looks ever more seldom."""
        ends = [max(each.lease_ends, IDLE_SECONDS) for each in studies if each.lease_ends is not None]
        if not self._wait(min([QUIET_SECONDS * random.uniform(0.8, 1.0), *ends])):
            self._idle = WAKING_SECONDS
            return
        _sleep(self._check_stop, random.uniform(0.0, self._idle))
        self._rest_longer()
        self.wakeups.wait(0)  # what was told meanwhile will be seen

    def _wait(self, seconds: float) -> bool:
        """Whether it was told of a change before so many seconds were over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check_stop()
            if self.wakeups.wait(min(left, IDLE_SECONDS)):
                return True
        return False

    def _is_mine(self, study: OpenStudy) -> bool:
        if not self._order.service:
            return True
        passed_over = self._skipped.get(study.study_id, 0.0) > time.monotonic()
        return not (study.stopped or passed_over or lacking(study.needs, self.tags))

    def _serve_first(self, studies: list[OpenStudy]) -> bool:
        """Do one thing for the first study for which there is any; False if there is none.

        Of equals, the one that this worker has not served for the longest time.
        """
        places = {study_id: place for place, study_id in enumerate(self._taken)}
        order = sorted(
            studies, key=lambda each: (-each.priority, each.at_work, places.get(each.study_id, -1))
        )
        return any(self._serve(each) for each in order)

    def _serve(self, study: OpenStudy) -> bool:
        try:
            return self._take(study).do_one_thing(self.wakeups.close)
        except StudyStoppedError:
            if not self._order.service:
                raise
        except FailingStudyError as error:
            if not self._order.service:
                raise
            stop(self._store, study.study_id)
            self._skip(study, f"{error} It is stopped now: `hpo resume {study.name}` lets workers go on.")
        except UserError as error:
            if not self._order.service:
                raise
            self._skip(study, str(error))
        return False

    def _take(self, study: OpenStudy) -> StudyRunner:
        """As the one served last; of many, those served long ago are let go."""
        taken = self._taken.pop(study.study_id, None)
        if taken is None:
            taken = self._take_up(study.name, self._since.get(study.study_id))
            self._since[study.study_id] = taken.since
            self._as_taken[study.study_id] = study
        self._taken[study.study_id] = taken
        for other in list(self._taken)[:-_KEPT]:
            del self._taken[other]
        return taken

    def _take_up(self, name: str, since: datetime | None = None) -> StudyRunner:
        return load_runner(
            name, self._store, self._order.device, partial(self._say, name), self._check_stop, since
        )

    def _say(self, study: str, event: Event) -> None:
        if study != self._current:
            self._current = study
            self._emit(StudyTaken(self._worker, study))
        self._emit(event)

    def _skip(self, study: OpenStudy, reason: str) -> None:
        self._taken.pop(study.study_id, None)
        self._skipped[study.study_id] = time.monotonic() + SKIP_SECONDS * random.uniform(0.8, 1.2)
        self._emit(StudySkipped(self._worker, study.name, reason))

    def _let_go(self, still_open: list[OpenStudy]) -> None:
        """What is over, stopped, deleted or not what it was when it was taken up."""
        known = {each.study_id: each for each in still_open}
        for study_id, taken in list(self._taken.items()):
            if study_id not in known and taken.is_over():
                taken.end()
                self._emit(StudyOver(self._worker, taken.bench.spec.study))
            before = self._as_taken.get(study_id)
            changed = before is not None and study_id in known and before.identity != known[study_id].identity
            if study_id not in known or changed:
                del self._taken[study_id]
        going_on = {each.study_id for each in still_open if not each.stopped}
        self._since = {study_id: since for study_id, since in self._since.items() if study_id in going_on}

    def _refuse_needs(self, taken: StudyRunner) -> None:
        spec = taken.bench.spec
        missing = lacking(spec.needs, self.tags)
        if missing:
            raise UserError(
                f"study {spec.study} needs {', '.join(missing)}, which workers here do not have: give it "
                f"with --tags or --device, or hand the study to workers elsewhere with `hpo submit`"
            )
