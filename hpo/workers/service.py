"""`hpo worker`: local processes that serve every open study of a database."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from hpo.events import TRIALS_FAILED, Event, StudySkipped, StudyTaken, TrialEnded, WorkerReady
from hpo.queue.leases import release_dead_local
from hpo.signals import StopRequestedError, sleep_until_signal, stop_on_signals
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.workers.messages import Emit, Ready, WorkOrder
from hpo.workers.process import open_process_pool
from hpo.workers.supervisor import Supervisor, WorkerEvents

MOST_CRASHES = 20
"""Crashes per slot until a trial makes progress; then the service ends, so that its launcher notices."""


@dataclass(frozen=True)
class ServiceSummary:
    """How a service ended."""

    exit_code: int
    """130 or 143 after a signal; 1 if studies were skipped or workers crashed; else ``TRIALS_FAILED`` if
    trials failed here; 0 otherwise."""
    seconds: float
    skipped: dict[str, str]
    """Studies that could not be served at some time, with the last reason."""
    problems: list[str]
    """What went wrong with workers."""
    failed: int = 0
    """Number of trials that failed here."""
    most_failed: str = ""
    """The most frequent verdict of those, with the command that shows such a trial."""


def serve_studies(order: WorkOrder, on_event: Emit) -> ServiceSummary:
    """Serve studies with ``order.workers`` processes until a signal or, unless it waits, until all are over.

    After a signal the workers stop at a safe point and release their slots. Raises
    ``UserError`` or ``WorkerError`` with a worker's message if none can work.
    """
    started = time.monotonic()
    failed = _FailedTrials(on_event)
    skipped = _SkippedStudies(failed.emit)

    def announce(ready: Ready) -> None:
        on_event(WorkerReady(ready.worker, ready.device, ready.threads, tuple(sorted(ready.tags))))

    events = WorkerEvents(skipped.emit, announce)
    with stop_on_signals() as stop, open_process_pool(order) as pool:
        retry = RetryPolicy(sleep=partial(sleep_until_signal, stop))
        # A signal also ends the wait for an unreachable database.
        with ResultsStore(order.storage_url, retry) as store, suppress(StopRequestedError):
            Supervisor(pool, store, events, stop, MOST_CRASHES * order.workers).run()
            release_dead_local(store, None)
    problem = int(bool(skipped.reasons or events.problems))
    return ServiceSummary(
        exit_code=stop.exit_code if stop.signum else problem or (TRIALS_FAILED if failed.count else 0),
        seconds=time.monotonic() - started,
        skipped=skipped.reasons,
        problems=events.problems,
        failed=failed.count,
        most_failed=failed.most_frequent(),
    )


class _SkippedStudies:
    """Passes events on, but ``StudySkipped`` only once for each study and reason."""

    def __init__(self, emit: Emit) -> None:
        self.reasons: dict[str, str] = {}
        """The last reason, by study."""
        self._emit = emit

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, StudySkipped):
            if self.reasons.get(event.study) == event.reason:
                return
            self.reasons[event.study] = event.reason
        self._emit(event)


class _FailedTrials:
    """Passes events on, and counts the trials that failed by their verdict."""

    def __init__(self, emit: Emit) -> None:
        self.count = 0
        self._emit = emit
        self._studies: dict[str, str] = {}
        """The study that each worker serves."""
        self._counts: Counter[str] = Counter()
        self._commands: dict[str, str] = {}

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, StudyTaken):
            self._studies[event.worker] = event.study
        if isinstance(event, TrialEnded) and event.state == "failed":
            self.count += 1
            self._counts[event.verdict] += 1
            command = f"hpo show {self._studies.get(event.worker, 'STUDY')} {event.number}"
            self._commands.setdefault(event.verdict, command)
        self._emit(event)

    def most_frequent(self) -> str:
        """Return the most frequent verdict and the command that shows the first such trial."""
        return "".join(
            f"{verdict} (`{self._commands[verdict]}`)" for verdict, _ in self._counts.most_common(1)
        )
