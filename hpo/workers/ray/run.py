"""A run on a Ray cluster: checks the cluster, then runs the study with a pool of actors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqlalchemy import URL

from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.events import ClusterJoined, RunSummary
from hpo.provenance import DISTRIBUTION
from hpo.signals import stop_on_signals
from hpo.storage.url import parse_url
from hpo.text import counted
from hpo.workers.messages import Emit, WorkOrder
from hpo.workers.ray.nodes import usable_nodes, user_code
from hpo.workers.ray.pool import ActorPool
from hpo.workers.ray.resources import Node, RayWorkers, worker_count
from hpo.workers.run import StudyRun

if TYPE_CHECKING:
    from hpo.workers.ray.cluster import Cluster

_KEPT_HERE = ("HPO_STORAGE", "HPO_STORAGE_PASSWORD_FILE", "HPO_DASHBOARD_TOKEN")
"""Variables not sent to workers: the URL is part of their order, the others are secrets of this process."""


def run_on_ray(
    spec: StudySpec,
    storage_url: str,
    *,
    workers: RayWorkers,
    device: str,
    on_event: Emit,
    tags: frozenset[str] = frozenset(),
) -> RunSummary:
    """Submit or resume the study and train its trials with actors until all are over.

    After a signal the actors stop at a safe point and release their slots; the summary reports it.
    Raises ``UserError`` if the cluster, one of its nodes or every worker cannot serve the study, and
    ``WorkerError`` with a worker's message if it fails.
    """
    started = time.monotonic()
    device = workers.device(device)
    url = parse_url(storage_url)
    code = user_code(spec)
    with _connected()(workers.address, code.sent) as cluster:
        nodes = cluster.nodes()
        _refuse_sqlite(url, cluster, nodes)
        whole_url = _with_password(url).render_as_string(hide_password=False)
        nodes = usable_nodes(nodes, cluster.examine(nodes, whole_url, code))
        count = worker_count(workers, nodes, spec.trials)
        idle = 0 if workers.gpus_per_worker else int(sum(node.gpus for node in nodes))
        on_event(ClusterJoined(tuple(node.host for node in nodes), count, workers.description(), idle))
        order = WorkOrder(whole_url, (spec.study,), device, count, tags, threads=workers.threads)
        only_on = nodes[0] if url.drivername == "sqlite" else None  # nodes may join later
        start_actor = partial(cluster.start_actor, order, workers, _environment(), only_on)
        pool = ActorPool(cluster, start_actor, count)
        with stop_on_signals() as stop:
            return StudyRun(spec, storage_url, pool, stop, on_event, started).run()


def _connected() -> Callable[..., AbstractContextManager[Cluster]]:
    """Return the function that connects to Ray; raises ``UserError`` if Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError(
            f"--ray needs Ray, on every node: pip install '{DISTRIBUTION}[ray]', or pip install ray"
        )
    from hpo.workers.ray.cluster import connected

    return connected


def _refuse_sqlite(url: URL, cluster: Cluster, nodes: list[Node]) -> None:
    if url.drivername != "sqlite" or cluster.is_this_machine():
        return
    hosts = ", ".join(sorted({node.host for node in nodes}))
    raise UserError(
        f"SQLite is a file on one machine, and the Ray cluster at {cluster.address} has "
        f"{counted(len(nodes), 'node')} ({hosts}): use PostgreSQL, which all of them "
        "can reach: --storage postgresql://USER@HOST/DATABASE"
    )


def _with_password(url: URL) -> URL:
    """Add the password that libpq would take from the environment, which nodes do not share."""
    password = os.environ.get("PGPASSWORD")
    return url.set(password=password) if password and url.host and url.password is None else url


def _environment() -> dict[str, str]:
    """Return hpo's variables that are set here, for nodes that do not set them."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("HPO_") and name not in _KEPT_HERE
    }
