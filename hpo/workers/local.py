"""A run on this machine: a study submitted, its worker processes watched over, until it is done."""

from __future__ import annotations

import time

from hpo.events import RunSummary
from hpo.recovery.signals import stop_on_signals
from hpo.results.store import ResultsStore
from hpo.spec.study import StudySpec
from hpo.workers.base import Emit, WorkOrder
from hpo.workers.crew import Crew
from hpo.workers.team import open_team
from hpo.workers.through import see_through


def run_study(
    spec: StudySpec,
    storage_url: str,
    *,
    workers: int,
    device: str,
    on_event: Emit,
    tags: frozenset[str] = frozenset(),
) -> RunSummary:
    """Submit the study, or take it up again, and serve it with local processes until it is done.

    After SIGINT or SIGTERM the workers stop at a safe point, give their slots back, and the summary says so.
    Raises ``UserError`` or ``WorkerError`` with a worker's message if no worker can go on.
    """
    started = time.monotonic()
    order = WorkOrder(storage_url, (spec.study,), device, workers, tags)
    with stop_on_signals() as stop, open_team(workers) as team:

        def gather(store: ResultsStore, emit: Emit) -> Crew:
            # A trial that kills its workers is given up before so many of them are dead.
            return Crew(team, store, order, emit, most_deaths=spec.max_deaths * workers)

        return see_through(spec, storage_url, gather, stop, on_event, started)
