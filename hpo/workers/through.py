"""A study submitted and served by workers, wherever they are, until it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeAlias

from hpo.diagnosis import refresh
from hpo.events import Event, RunSummary, StudyReady, TrialEnded
from hpo.queue.leases import release_dead_local
from hpo.queue.slots import Progress, progress
from hpo.recovery.signals import StopFlag, StopRequestedError
from hpo.results.patience import Patience
from hpo.results.store import ResultsStore
from hpo.spec.study import StudySpec
from hpo.workers.base import Emit, Ready
from hpo.workers.crew import POLL_SECONDS, Hearer
from hpo.workers.submit import Submitted, submit


class Workers(Protocol):
    """Those that serve one study."""

    @property
    def heard(self) -> Hearer: ...
    @property
    def count(self) -> int: ...

    def work(self, stop: StopFlag, on_ready: Callable[[Ready], None]) -> None:
        """Until all have ended. Raises ``UserError`` or ``WorkerError`` with a worker's message."""

    def end(self) -> None:
        """End whoever still works; may be called again."""


Gather: TypeAlias = Callable[[ResultsStore, Emit], Workers]
"""Workers for the study of a database, and who hears what they say."""


def see_through(
    spec: StudySpec, storage_url: str, gather: Gather, stop: StopFlag, on_event: Emit, started: float
) -> RunSummary:
    """Submit the study, or take it up again, and have it served until it is done or ``stop`` is set.

    ``started`` is when it all began, by the monotonic clock. Raises what ``Workers.work`` raises.
    """
    patience = Patience(sleep=partial(sleep_until_signal, stop))
    with ResultsStore(storage_url, patience) as store:
        run = _Run(store, spec, gather, on_event)
        # A signal ends waiting for a database that is away: then what is known tells how far it came.
        with suppress(StopRequestedError):
            run.until_done(stop)
    heard = run.workers.heard
    return RunSummary(
        study=spec.study,
        finished=run.finished,
        total=run.total,
        interrupted=bool(stop.signum),
        seconds=time.monotonic() - started,
        exit_code=stop.exit_code if stop.signum else int(run.finished < run.total),
        stopped=heard.stopped,
        problems=heard.problems,
    )


def sleep_until_signal(stop: StopFlag, seconds: float) -> None:
    """Sleep, but raise ``StopRequestedError`` after a signal."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check()
        time.sleep(min(left, POLL_SECONDS))


class _Run:
    """Submits a study and has it served, until it is done or its workers have ended."""

    def __init__(self, store: ResultsStore, spec: StudySpec, gather: Gather, emit: Emit) -> None:
        self.finished, self.total = 0, spec.trials
        """Trials that are over, and all of the study's, as far as is known here."""
        self.workers = gather(store, self._pass_on)
        self._store = store
        self._spec = spec
        self._emit = emit
        self._announced = False

    def until_done(self, stop: StopFlag) -> None:
        """Raises ``StopRequestedError`` if the database is away after a signal."""
        submitted = submit(self._store, self._spec)
        self._know(submitted.at_start)
        if self.finished < self.total:
            self.workers.work(stop, partial(self._announce, submitted))
        self.workers.end()
        release_dead_local(self._store, submitted.study_id)
        refresh(self._store, self._spec.study)
        self._know(progress(self._store, submitted.study_id))

    def _know(self, now: Progress) -> None:
        self.finished, self.total = now.done, now.total

    def _pass_on(self, event: Event) -> None:
        self.finished += isinstance(event, TrialEnded)
        self._emit(event)

    def _announce(self, submitted: Submitted, ready: Ready) -> None:
        if self._announced:
            return
        self._announced = True
        assert ready.precision is not None, "it serves one study"
        self._emit(
            StudyReady(
                study=self._spec.study,
                dataset=submitted.dataset,
                origin=submitted.origin,
                trials_done=submitted.at_start.done,
                trials_total=submitted.at_start.total,
                workers=self.workers.count,
                threads_per_worker=ready.threads,
                device=ready.device,
                precision=ready.precision,
                reclaimed=submitted.reclaimed,
                costs=self._spec.trial_costs,
            )
        )
