"""The resources of a worker on a Ray cluster, and the number of workers that fit."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.errors import UserError

AUTO, LOCAL = "auto", "local"
_PLACE = re.compile(r"(ray://)?([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")
ADDRESSES = (
    f"HOST:PORT of a cluster that this machine is part of, ray://HOST:PORT from outside, {AUTO} for one "
    f"that runs on this machine, or {LOCAL} to start one for the run"
)


def is_address(text: str) -> bool:
    """Return whether the text is the address of a Ray cluster."""
    return text in (AUTO, LOCAL) or _PLACE.fullmatch(text) is not None


def place(address: str) -> tuple[str, int]:
    """Return the host and port of an address that has them."""
    found = _PLACE.fullmatch(address)
    assert found is not None, address
    return found[2].strip("[]"), int(found[3])


def is_own_address(address: str) -> bool:
    """Return whether the IP address is one of this machine's: only then can something listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, 0), family=family).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class RayWorkers:
    """Workers as actors on a Ray cluster; a fraction of a GPU (0.25) lets several workers share it.

    ``address`` None means `$RAY_ADDRESS` if set, else a cluster started on this machine for the run. Without
    ``max_workers`` there are as many as fit on the cluster, at most one per trial. Raises ``UserError`` for
    values that Ray does not accept.
    """

    address: str | None = None
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    max_workers: int | None = None

    def __post_init__(self) -> None:
        if self.address is not None and not is_address(self.address):
            raise UserError(f"{self.address!r} is not the address of a Ray cluster: use {ADDRESSES}")
        if not self.cpus_per_worker > 0:
            raise UserError(f"--cpus-per-worker {self.cpus_per_worker:g}: must be more than 0")
        if not self.gpus_per_worker >= 0:
            raise UserError(f"--gpus-per-worker {self.gpus_per_worker:g}: must be 0 or more")
        for option, share in (("cpus", self.cpus_per_worker), ("gpus", self.gpus_per_worker)):
            if share > 1 and share != int(share):
                raise UserError(f"--{option}-per-worker {share:g}: must be a whole number or less than 1")
        if self.max_workers is not None and self.max_workers < 1:
            raise UserError(f"--max-workers {self.max_workers}: must be at least 1")

    @property
    def threads(self) -> int:
        """Number of PyTorch threads of each worker."""
        return max(1, int(self.cpus_per_worker))

    def device(self, wanted: str) -> str:
        """Return the device that fits these resources; raises ``UserError`` if ``wanted`` is another."""
        fits = ("auto", "cuda") if self.gpus_per_worker else ("auto", "cpu")
        if wanted in fits:
            return fits[1]
        if self.gpus_per_worker:
            raise UserError(
                f"--device {wanted} with --gpus-per-worker {self.gpus_per_worker:g}: Ray chooses the GPU of "
                "each worker; omit --device"
            )
        raise UserError(
            f"--device {wanted}: Ray workers have no GPU without --gpus-per-worker 1, or a fraction"
        )

    def description(self) -> str:
        """Describe the resources of each worker."""
        gpus = f" and {self.gpus_per_worker:g} GPU" if self.gpus_per_worker else ""
        return f"{self.cpus_per_worker:g} CPU{gpus}"


@dataclass(frozen=True)
class Node:
    """A machine of a Ray cluster and the resources that Ray may assign."""

    node_id: str
    host: str
    cpus: float
    gpus: float

    def room(self, shares: RayWorkers) -> int:
        """Return how many such workers fit when nothing else runs there."""
        room = _times(shares.cpus_per_worker, self.cpus)
        if shares.gpus_per_worker > 1:
            return min(room, _times(shares.gpus_per_worker, self.gpus))
        if shares.gpus_per_worker:  # a fraction is of one GPU, never of two
            return min(room, int(self.gpus) * _times(shares.gpus_per_worker, 1.0))
        return room


def worker_count(shares: RayWorkers, nodes: Sequence[Node], trials: int) -> int:
    """Return the number of workers: ``max_workers`` or as many as fit, at most one per trial.

    Raises ``UserError`` if none fits and ``max_workers`` does not ask to wait for more nodes.
    """
    if shares.max_workers is not None:
        return min(shares.max_workers, trials)
    room = sum(node.room(shares) for node in nodes)
    if room:
        return min(room, trials)
    listed = "\n".join(f"  {each.host}: {each.cpus:g} CPU, {each.gpus:g} GPU" for each in nodes)
    raise UserError(
        f"no node of the Ray cluster has {shares.description()} for a worker:\n{listed}\n"
        "Ask for less or, if an autoscaler adds nodes, set with --max-workers how many workers to wait for"
    )


def _times(share: float, whole: float) -> int:
    return math.floor(whole / share + 1e-6)  # three times 0.3333 is one, for Ray too
