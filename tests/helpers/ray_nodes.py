"""A Ray cluster of two nodes on this machine, in its own process: `kill` on its stdin kills the second node.

Prints one JSON line when both run: the address, and the pid of each node's raylet.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ray.cluster_utils import Cluster

_NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**_NODE, "include_dashboard": False})
    nodes: list[Any] = [cluster.head_node, cluster.add_node(**_NODE)]
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    sys.stdout.write(json.dumps({"address": cluster.address, "raylets": raylets}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes[1], allow_graceful=False)  # SIGKILL to each of its processes
    cluster.shutdown()


if __name__ == "__main__":
    main()
