"""A run on a Ray cluster: a study submitted, its actors watched over, until it is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqlalchemy import URL

from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.events import ClusterJoined, RunSummary
from hpo.signals import stop_on_signals
from hpo.storage.store import ResultsStore
from hpo.storage.url import parse_url
from hpo.workers.messages import Emit, WorkOrder
from hpo.workers.ray.nodes import fit_nodes, user_code
from hpo.workers.ray.resources import Node, RayWorkers, crew_size
from hpo.workers.ray.supervisor import RaySupervisor
from hpo.workers.run import see_through

if TYPE_CHECKING:
    from hpo.workers.ray.cluster import Cluster

_KEPT_HERE = ("HPO_STORAGE", "HPO_STORAGE_PASSWORD_FILE", "HPO_DASHBOARD_TOKEN")
"""Variables that workers do not get: the URL goes to them by itself, the others are none of theirs."""


def run_on_ray(
    spec: StudySpec,
    storage_url: str,
    *,
    workers: RayWorkers,
    device: str,
    on_event: Emit,
    tags: frozenset[str] = frozenset(),
) -> RunSummary:
    """Submit the study, or take it up again, and serve it with actors until it is done.

    After SIGINT or SIGTERM the actors stop at a safe point, give their slots back, and the summary says so.
    Raises ``UserError`` if the cluster or a node of it cannot serve, or with a worker's message if none can,
    and ``WorkerError`` with a worker's message if it fails.
    """
    started = time.monotonic()
    device = workers.device(device)
    url = parse_url(storage_url)
    code = user_code(spec)
    with _joined()(workers.address, code.sent) as cluster:
        nodes = cluster.nodes()
        _refuse_sqlite(url, cluster, nodes)
        whole_url = _with_password(url).render_as_string(hide_password=False)
        nodes = fit_nodes(nodes, cluster.examine(nodes, whole_url, code.modules))
        count = crew_size(workers, nodes, spec.trials)
        idle = 0 if workers.gpus_per_worker else int(sum(node.gpus for node in nodes))
        on_event(ClusterJoined(tuple(node.host for node in nodes), count, workers.in_words(), idle))
        order = WorkOrder(whole_url, (spec.study,), device, count, tags, threads=workers.threads)
        only_on = nodes[0] if url.drivername == "sqlite" else None  # nodes may join later

        with stop_on_signals() as stop:

            def gather(store: ResultsStore, emit: Emit) -> RaySupervisor:
                # A trial that kills its workers is given up before so many of them are dead.
                most_deaths = spec.max_deaths * count
                return RaySupervisor(
                    cluster, lambda: cluster.hire(order, workers, _environment(), only_on),
                    count, store, emit, most_deaths,
                )  # fmt: skip

            return see_through(spec, storage_url, gather, stop, on_event, started)


def _joined() -> Callable[..., AbstractContextManager[Cluster]]:
    """Raises ``UserError`` where Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError("--ray needs Ray: pip install 'hpo[ray]', or pip install ray, on every node")
    from hpo.workers.ray.cluster import connected

    return connected


def _refuse_sqlite(url: URL, cluster: Cluster, nodes: list[Node]) -> None:
    if url.drivername != "sqlite" or cluster.is_this_machine():
        return
    hosts = ", ".join(sorted({node.host for node in nodes}))
    raise UserError(
        f"SQLite is a file of one machine, and the Ray cluster at {cluster.address} has "
        f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'} ({hosts}): use PostgreSQL, which all of them "
        "reach: --storage postgresql://USER@HOST/DATABASE"
    )


def _with_password(url: URL) -> URL:
    """With what libpq would take from the environment, which nodes do not have."""
    password = os.environ.get("PGPASSWORD")
    return url.set(password=password) if password and url.host and url.password is None else url


def _environment() -> dict[str, str]:
    """hpo's variables that are set here, for nodes that do not set them."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("HPO_") and name not in _KEPT_HERE
    }
