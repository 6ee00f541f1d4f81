"""The only module that imports Ray: a connection to a cluster, its nodes, and actors on them."""

from __future__ import annotations

import logging
import os
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
from hpo.limits import available_cores
from hpo.trial.output import tail
from hpo.workers.messages import WorkOrder
from hpo.workers.ray.actor import ActorGoneError, RayWorker, WorkerUpdate
from hpo.workers.ray.nodes import NodeReport, UserCode, node_probe
from hpo.workers.ray.resources import AUTO, LOCAL, Node, RayWorkers, is_own_address, place

CONNECT_SECONDS = 5.0
EXAMINE_SECONDS = 120.0
"""Time to send code to a node and to start a process there."""
READ_SECONDS = 10.0
_STORE_BYTES = 100 * 2**20  # of shared memory, for objects; a third of the machine's memory by default
_NOT_SENT = ["**/.git", "**/__pycache__", "**/*.db"]


class Actor:
    """A handle of a ``RayWorker`` on the cluster; polls it asynchronously, one call at a time."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.pending_answer: Any = None

    def ask(self) -> None:
        """Poll the worker; the first poll makes it start."""
        self.pending_answer = self._handle.poll.remote()

    def answer(self) -> WorkerUpdate:
        """Return its answer; raises ``ActorGoneError``."""
        try:
            update: WorkerUpdate = ray.get(self.pending_answer)
        except RayError as error:
            raise ActorGoneError(_last_line(error), not isinstance(error, ActorUnavailableError)) from error
        return update

    def stop(self) -> None:
        """Ask it to stop at a safe point."""
        self._handle.stop.remote()

    def kill(self, restart: bool = False) -> None:
        """Kill its process now."""
        with suppress(RayError):  # it is dead already
            ray.kill(self._handle, no_restart=not restart)


class Cluster:
    """A Ray cluster that this process is connected to."""

    def __init__(self, address: str) -> None:
        self.address = address

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive."""
        return [
            Node(
                each["NodeID"], each["NodeManagerHostname"],
                each["Resources"].get("CPU", 0.0), each["Resources"].get("GPU", 0.0),
            )
            for each in ray.nodes()
            if each["Alive"]
        ]  # fmt: skip

    def is_this_machine(self) -> bool:
        """Return whether its only node is this machine, by its address: two machines may have one name."""
        nodes = [each for each in ray.nodes() if each["Alive"]]
        from_inside = not self.address.startswith("ray://")
        return len(nodes) == 1 and from_inside and is_own_address(nodes[0]["NodeManagerAddress"])

    def examine(self, nodes: Sequence[Node], storage_url: str, code: UserCode) -> list[NodeReport]:
        """Have each node report whether it can serve; a node that does not answer has a ``problem``."""
        probe = ray.remote(num_cpus=0, max_retries=0)(node_probe())
        asked = [_on(probe, each).remote(storage_url, list(code.modules), list(code.files)) for each in nodes]
        ray.wait(asked, num_returns=len(asked), timeout=EXAMINE_SECONDS)
        return [_report(call, node) for call, node in zip(asked, nodes, strict=True)]

    def start_actor(
        self, order: WorkOrder, shares: RayWorkers, environment: Mapping[str, str], only_on: Node | None
    ) -> Actor:
        """Start one worker; it begins to work when it is polled for the first time."""
        worker = ray.remote(RayWorker).options(
            num_cpus=shares.cpus_per_worker,
            num_gpus=shares.gpus_per_worker,
            max_restarts=-1,
            # `stop` must get through while `poll` waits.
            max_concurrency=2,
            # Ray kills the actors of a driver that dies, unless detached; these save their trials first.
            lifetime="detached",
            scheduling_strategy=None if only_on is None else _at(only_on),
        )
        return Actor(worker.remote(order, dict(environment), str(Path.cwd()), end_this_actor))

    def answered(self, actors: Sequence[Actor], seconds: float) -> list[Actor]:
        """Return the actors whose answers have arrived; wait up to ``seconds`` for the first."""
        calls = {each.pending_answer: each for each in actors if each.pending_answer is not None}
        if not calls:
            threading.Event().wait(seconds)
            return []
        ready, _ = ray.wait(list(calls), num_returns=1, timeout=seconds)
        return [calls[each] for each in ready]

    def read_end(self, host: str, path: str) -> str:
        """Return the end of a text file on a node; empty if the node is gone or has no such file."""
        read = ray.remote(num_cpus=0, max_retries=0)(tail)
        for node in self.nodes():
            if node.host == host:
                with suppress(RayError, OSError):
                    text: str = ray.get(_on(read, node).remote(Path(path)), timeout=READ_SECONDS)
                    return text
        return ""


@contextmanager
def connected(address: str | None, code: Sequence[Path]) -> Iterator[Cluster]:
    """Connect to a cluster, or start one on this machine that ends with the block.

    ``code`` are packages and modules to send to its workers. An existing connection of this process is used
    and kept. Raises ``UserError`` if the cluster cannot be joined.
    """
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    if ray.is_initialized():
        yield Cluster(address)
        return
    if address != LOCAL:
        _refuse_unreachable(_of_this_machine() if address == AUTO else address)
    with _ray_variables():
        _join(address, code)
        try:
            yield Cluster(address)
        finally:
            ray.shutdown()


@contextmanager
def _ray_variables() -> Iterator[None]:
    """Set what Ray reads, and give it back to the program that runs the study."""
    before, prints = dict(os.environ), ray._private.worker._worker_logs_enabled
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # The order tells workers whether to use a GPU: Ray need not hide GPUs, nor warn that it will not.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray prints what happens to its processes to stdout; the run itself reports what matters.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield
    finally:
        ray._private.worker._worker_logs_enabled = prints
        for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
            del os.environ[name]


def end_this_actor() -> None:
    """End the actor in which this is called; Ray does not restart it."""
    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)


def _join(address: str, code: Sequence[Path]) -> None:
    starts: dict[str, Any] = (
        {
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            # Ray itself sees only a quota of the group at the root of the mounted hierarchy.
            "num_cpus": available_cores(),
        }
        if address == LOCAL
        else {}
    )
    environment = {"py_modules": [str(each) for each in code], "excludes": _NOT_SENT} if code else None
    in_main_thread = threading.current_thread() is threading.main_thread()
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    if in_main_thread:  # a terminal that closes must not kill a local Ray before the trials are saved
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env=environment, **starts,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError, ImportError, RayError) as error:
        raise UserError(f"the Ray cluster at {address} cannot be joined: {_last_line(error)}") from error
    finally:
        if in_main_thread:
            for each, handler in handlers.items():  # Ray installs its own
                signal.signal(each, handler)


def _of_this_machine() -> str:
    """Return the address that `ray start` and `ray.init` leave in a file of this machine."""
    note = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    with suppress(OSError):
        return note.read_text().strip()
    raise UserError(
        "Ray is not running on this machine: start it with `ray start --head`, or omit the address"
    )


def _refuse_unreachable(address: str) -> None:
    """Raise ``UserError`` if nothing listens there; Ray itself would try for minutes."""
    try:
        socket.create_connection(place(address), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


def _on(task: Any, node: Node) -> Any:
    return task.options(scheduling_strategy=_at(node))


def _at(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.node_id, soft=False)


def _report(call: Any, node: Node) -> NodeReport:
    try:
        return NodeReport(node.host, **ray.get(call, timeout=0))
    except RayError as error:
        return NodeReport(node.host, problem=_last_line(error))


def _last_line(error: BaseException) -> str:
    """Return the last of Ray's many lines: it names the underlying error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
