"""Ray, as far as hpo uses it: a connection, nodes, actors. No other module imports it."""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
import ray._private.worker
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpo.errors import UserError
from hpo.trial.output import tail
from hpo.workers.messages import WorkOrder
from hpo.workers.ray.actor import ActorGoneError, News, RayWorker
from hpo.workers.ray.nodes import Report, examination
from hpo.workers.ray.resources import AUTO, LOCAL, Node, RayWorkers, place

CONNECT_SECONDS = 5.0
EXAMINE_SECONDS = 120.0
"""Code is sent to the node and a process started there."""
READ_SECONDS = 10.0
_STORE_BYTES = 100 * 2**20  # of shared memory, for objects; a third of the machine's memory by default
_NOT_SENT = ["**/.git", "**/__pycache__", "**/*.db"]


class Actor:
    """A worker as whoever started it holds it: one question at a time is under way."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.answer_to_come: Any = None

    def ask(self) -> None:
        """Ask how it goes; the first time, it begins."""
        self.answer_to_come = self._handle.go_on.remote()

    def answer(self) -> News:
        """What it answered; raises ``ActorGoneError``."""
        try:
            news: News = ray.get(self.answer_to_come)
        except RayError as error:
            raise ActorGoneError(_first_words(error), not isinstance(error, ActorUnavailableError)) from error
        return news

    def stop(self) -> None:
        """Ask it to stop at a safe point."""
        self._handle.stop.remote()

    def kill(self, start_again: bool = False) -> None:
        """End its process now."""
        with suppress(RayError):  # it is dead already
            ray.kill(self._handle, no_restart=not start_again)


class Cluster:
    """A Ray cluster that this process is connected to."""

    def __init__(self, address: str) -> None:
        self.address = address

    def nodes(self) -> list[Node]:
        """Those that are alive."""
        return [
            Node(
                each["NodeID"], each["NodeManagerHostname"],
                each["Resources"].get("CPU", 0.0), each["Resources"].get("GPU", 0.0),
            )
            for each in ray.nodes()
            if each["Alive"]
        ]  # fmt: skip

    def is_this_machine(self) -> bool:
        """Whether it has one node, on which this process runs."""
        nodes = self.nodes()
        from_inside = not self.address.startswith("ray://")
        return len(nodes) == 1 and from_inside and nodes[0].host == platform.node()

    def examine(self, nodes: Sequence[Node], storage_url: str, modules: Sequence[str]) -> list[Report]:
        """What each node says of itself; ``None`` in it where it did not."""
        look = ray.remote(num_cpus=0, max_retries=0)(examination())
        asked = [_on(look, each).remote(storage_url, list(modules)) for each in nodes]
        ray.wait(asked, num_returns=len(asked), timeout=EXAMINE_SECONDS)
        return [_report(call, node) for call, node in zip(asked, nodes, strict=True)]

    def hire(
        self, order: WorkOrder, shares: RayWorkers, environment: Mapping[str, str], only_on: Node | None
    ) -> Actor:
        """One worker, which begins when it is asked for the first time."""
        worker = ray.remote(RayWorker).options(
            num_cpus=shares.cpus_per_worker,
            num_gpus=shares.gpus_per_worker,
            max_restarts=-1,
            # `stop` comes through while `go_on` waits.
            max_concurrency=2,
            # Ray kills what belongs to a driver that dies; these are to save their trials first.
            lifetime="detached",
            scheduling_strategy=None if only_on is None else _at(only_on),
        )
        return Actor(worker.remote(order, dict(environment), str(Path.cwd()), leave))

    def answered(self, actors: Sequence[Actor], seconds: float) -> list[Actor]:
        """Those of the actors whose answers have come; waits for one so long at most."""
        calls = {each.answer_to_come: each for each in actors if each.answer_to_come is not None}
        if not calls:
            threading.Event().wait(seconds)
            return []
        ready, _ = ray.wait(list(calls), num_returns=1, timeout=seconds)
        return [calls[each] for each in ready]

    def read_end(self, host: str, path: str) -> str:
        """The end of a text file on a node; empty if the node is gone or has no such file."""
        read = ray.remote(num_cpus=0, max_retries=0)(tail)
        for node in self.nodes():
            if node.host == host:
                with suppress(RayError, OSError):
                    text: str = ray.get(_on(read, node).remote(Path(path)), timeout=READ_SECONDS)
                    return text
        return ""


@contextmanager
def connected(address: str | None, code: Sequence[Path]) -> Iterator[Cluster]:
    """A connection to a cluster, or to one that is started here and ends with the block.

    ``code`` are packages and modules that its workers get. A connection that the process has is used, and
    kept. Raises ``UserError`` if the cluster cannot be joined.
    """
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    if ray.is_initialized():
        yield Cluster(address)
        return
    if address != LOCAL:
        _refuse_silent(_of_this_machine() if address == AUTO else address)
    _join(address, code)
    try:
        yield Cluster(address)
    finally:
        ray.shutdown()


def leave() -> None:
    """End the actor in which this is called; it is not started again."""
    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)


def _join(address: str, code: Sequence[Path]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Workers are told whether to use a GPU: Ray need not hide them, nor warn that it will not.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray prints what happens to its processes to stdout; the run says what matters of it.
    ray._private.worker._worker_logs_enabled = False
    starts: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if address == LOCAL else {}
    )
    environment = {"py_modules": [str(each) for each in code], "excludes": _NOT_SENT} if code else None
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env=environment, **starts,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError, ImportError, RayError) as error:
        raise UserError(f"the Ray cluster at {address} cannot be joined: {_first_words(error)}") from error
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own there


def _of_this_machine() -> str:
    """The address that `ray start` and `ray.init` leave for others on the machine."""
    note = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    with suppress(OSError):
        return note.read_text().strip()
    raise UserError(
        "no Ray runs on this machine: start one with `ray start --head`, or leave the address out"
    )


def _refuse_silent(address: str) -> None:
    """Raises ``UserError`` if nothing listens there: Ray would try for minutes."""
    try:
        socket.create_connection(place(address), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


def _on(task: Any, node: Node) -> Any:
    return task.options(scheduling_strategy=_at(node))


def _at(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.node_id, soft=False)


def _report(call: Any, node: Node) -> Report:
    try:
        return Report(node.host, **ray.get(call, timeout=0))
    except RayError as error:
        return Report(node.host, problem=_first_words(error))


def _first_words(error: BaseException) -> str:
    """Of Ray's many lines, the last: with the error that is at the bottom of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
