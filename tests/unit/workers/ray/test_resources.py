"""Resources of workers on a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import UserError
from hpo.workers.ray.resources import Node, RayWorkers, is_address, is_own_address, place, worker_count


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cpus_per_worker": 0}, "--cpus-per-worker 0: must be more than 0"),
        ({"cpus_per_worker": float("nan")}, "--cpus-per-worker nan"),
        ({"cpus_per_worker": 1.5}, "--cpus-per-worker 1.5: must be a whole number or less than 1"),
        ({"gpus_per_worker": -1}, "--gpus-per-worker -1"),
        ({"gpus_per_worker": 2.5}, "--gpus-per-worker 2.5: must be a whole number or less than 1"),
        ({"max_workers": 0}, "--max-workers 0: must be at least 1"),
        ({"address": "quickstart"}, "'quickstart' is not the address of a Ray cluster: use HOST:PORT"),
    ],
)
def test_workers_refuse_resources_that_ray_does_not_accept(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        RayWorkers(**values)
    assert message in str(refusal.value)


def test_is_address_knows_the_addresses_of_clusters() -> None:
    for address in ("auto", "local", "head:6379", "10.0.0.7:6379", "ray://head.lab:10001", "[::1]:6379"):
        assert is_address(address) and RayWorkers(address).address == address
    for other in ("", "quickstart", "study.yaml", "http://head:8265", "head", "./a:1/b", "--json"):
        assert not is_address(other)
    assert place("ray://head.lab:10001") == ("head.lab", 10001)
    assert place("[::1]:6379") == ("::1", 6379)


@pytest.mark.parametrize(
    ("cpus", "gpus", "node", "room"),
    [
        (1, 0, (16, 0), 16),
        (4, 0, (15, 8), 3),
        (0.5, 0, (2, 0), 4),
        (1, 0.25, (16, 2), 8),
        (1, 0.25, (4, 2), 4),
        (1, 0.6, (16, 2), 2),  # two shares of 0.6 do not fit on one GPU
        (1, 0.3333, (16, 1), 3),
        (1, 0.1, (16, 1), 10),
        (1, 2, (16, 5), 2),
        (1, 1, (16, 0), 0),
    ],
)
def test_node_has_room_for_whole_workers(
    cpus: float, gpus: float, node: tuple[float, float], room: int
) -> None:
    shares = RayWorkers(cpus_per_worker=cpus, gpus_per_worker=gpus)
    assert Node("id", "lab-1", *node).room(shares) == room


def test_worker_count_is_limited_by_room_and_trials() -> None:
    nodes = [Node("a", "lab-1", 4, 0), Node("b", "lab-2", 3, 1)]
    assert worker_count(RayWorkers(), nodes, trials=100) == 7
    assert worker_count(RayWorkers(), nodes, trials=5) == 5
    assert worker_count(RayWorkers(max_workers=2), nodes, trials=5) == 2
    assert worker_count(RayWorkers(cpus_per_worker=64, max_workers=3), nodes, trials=5) == 3  # they wait
    with pytest.raises(UserError) as refusal:
        worker_count(RayWorkers(gpus_per_worker=2), nodes, trials=5)
    assert "no node of the Ray cluster has 1 CPU and 2 GPU for a worker" in str(refusal.value)
    assert "lab-2: 3 CPU, 1 GPU" in str(refusal.value)


def test_device_follows_from_the_resources() -> None:
    assert RayWorkers().device("auto") == "cpu"
    assert RayWorkers(gpus_per_worker=0.5).device("auto") == "cuda"
    assert RayWorkers(cpus_per_worker=3).threads == 3
    assert RayWorkers(cpus_per_worker=0.5).threads == 1
    with pytest.raises(UserError, match="without --gpus-per-worker 1"):
        RayWorkers().device("cuda")
    with pytest.raises(UserError, match="Ray chooses the GPU"):
        RayWorkers(gpus_per_worker=1).device("cuda:1")


def test_is_own_address_only_of_this_machines_interfaces() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.1")  # RFC 5737: of no machine
    assert not is_own_address("2001:db8::1")  # RFC 3849
