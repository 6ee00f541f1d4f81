"""Worker processes for test_search_processes.py: they begin trials as workers do, but train nothing.

``searching_processes.py URL STUDY WORKERS DIES_AT``: each worker kills itself in trial DIES_AT; 0 means
never. Prints how each ended. They are forked: loading the libraries takes longer than their work.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from hpo.queue.leases import claim, release_dead_local
from hpo.records import Outcome
from hpo.search.suggest import Suggestions
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered


def search(url: str, study: str, dies_at: int) -> None:
    """Begin and end trials until no slot is left."""
    with ResultsStore(url) as store:
        found = find_registered(store.engine, study)
        assert found is not None
        suggestions = Suggestions(store, found.study_id, found.spec.space)
        release_dead_local(store, found.study_id)
        begun = 0
        while lease := claim(store, found.study_id, worker_id(), 60.0):
            trial = suggestions.begin(
                lease, found.spec, lease.given, images={"dataset": "synthetic"}, device="cpu"
            )
            begun += 1
            if begun == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            store.begin_attempt(lease, trial.trial_id, device="cpu", from_epoch=0)
            value = trial.configuration.model_dump()["lr"] % 1.0
            outcome = Outcome("complete", value, verdict="", cause="healthy")
            store.finish_trial(lease, trial.trial_id, outcome)


url, study, workers, dies_at = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pids = []
for _ in range(workers):
    pid = os.fork()
    if pid == 0:
        search(url, study, dies_at)
        os._exit(0)
    pids.append(pid)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]))  # noqa: T201
