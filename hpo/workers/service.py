"""Workers of this machine that serve the studies of a database, whoever submitted them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from hpo.events import Event, StudySkipped, WorkerReady
from hpo.queue.leases import release_dead_local
from hpo.recovery.signals import StopRequestedError, stop_on_signals
from hpo.results.patience import Patience
from hpo.results.store import ResultsStore
from hpo.workers.base import Emit, Ready, WorkOrder
from hpo.workers.crew import Crew
from hpo.workers.team import open_team
from hpo.workers.through import sleep_until_signal

MOST_DEATHS = 20
"""Workers of a slot that may die before a trial gets on; then the service ends, for its launcher to see."""


@dataclass(frozen=True)
class ServiceSummary:
    """How a service ended."""

    exit_code: int
    """130 or 143 after a signal; 1 if studies were passed over or workers lost at the end; 0 otherwise."""
    seconds: float
    skipped: dict[str, str]
    """Studies that could not be served at some time, with the last reason."""
    problems: list[str]
    """What went wrong with workers."""


def serve_studies(order: WorkOrder, on_event: Emit) -> ServiceSummary:
    """Serve studies with ``order.workers`` processes, until a signal or, unless it waits, all are over.

    After SIGINT or SIGTERM the workers stop at a safe point and give their slots back. Raises ``UserError``
    or ``WorkerError`` with a worker's message if no worker can go on.
    """
    started = time.monotonic()
    service = _Service(on_event)
    with stop_on_signals() as stop, open_team(order.workers) as team:
        patience = Patience(sleep=partial(sleep_until_signal, stop))
        with ResultsStore(order.storage_url, patience) as store:
            crew = Crew(team, store, order, service.hear, most_deaths=MOST_DEATHS * order.workers)
            with suppress(StopRequestedError):  # while the database is away
                crew.work(stop, service.announce)
                team.end()
                release_dead_local(store, None)
    failed = bool(service.skipped or crew.heard.problems)
    return ServiceSummary(
        exit_code=stop.exit_code if stop.signum else int(failed),
        seconds=time.monotonic() - started,
        skipped=service.skipped,
        problems=crew.heard.problems,
    )


class _Service:
    """Passes on what workers say; what several of them say alike, once."""

    def __init__(self, emit: Emit) -> None:
        self.skipped: dict[str, str] = {}
        self._emit = emit

    def announce(self, ready: Ready) -> None:
        self._emit(WorkerReady(ready.worker, ready.device, ready.threads, tuple(sorted(ready.tags))))

    def hear(self, event: Event) -> None:
        if isinstance(event, StudySkipped):
            if self.skipped.get(event.study) == event.reason:
                return
            self.skipped[event.study] = event.reason
        self._emit(event)
