"""A worker process for test_processes.py: executes the lines on its stdin and answers on stdout, in JSON."""

from __future__ import annotations

import json
import sys

from hpo.queue.leases import claim
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore


def claim_all(url: str, study_id: int) -> list[tuple[int, int]]:
    """Claim slots until none is left; their numbers and tokens."""
    mine = []
    with ResultsStore(url) as store:
        while lease := claim(store, study_id, worker_id(), 60.0):
            mine.append((lease.slot, lease.token))
    return mine


print(json.dumps("ready"), flush=True)  # noqa: T201 (its way to answer)
for line in sys.stdin:
    url, study_id = json.loads(line)
    answer: object = "upgraded"
    if study_id is None:
        ResultsStore(url).close()
    else:
        answer = claim_all(url, study_id)
    print(json.dumps(answer), flush=True)  # noqa: T201
