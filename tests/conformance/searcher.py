"""A worker process for test_search_processes.py: begins trials as a worker does, and trains nothing.

It kills itself before it ends its trial number ``dies_at``, counted from 1; 0 for never.
"""

from __future__ import annotations

import os
import signal
import sys

from hpo.queue.identity import worker_id
from hpo.queue.leases import claim, release_dead_local
from hpo.queue.registered import find_registered
from hpo.results.records import Outcome
from hpo.results.store import ResultsStore
from hpo.search.suggest import Suggestions

url, study, dies_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
with ResultsStore(url) as store:
    found = find_registered(store.engine, study)
    assert found is not None
    suggestions = Suggestions(store, found.study_id, found.spec.space)
    begun = 0
    while True:
        release_dead_local(store, found.study_id)
        lease = claim(store, found.study_id, worker_id(), 60.0)
        if lease is None:
            break
        trial = suggestions.begin(lease, found.spec, lease.given, dataset="synthetic", device="cpu")
        begun += 1
        if begun == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        store.begin_attempt(lease, trial.trial_id, device="cpu", from_epoch=0)
        value = trial.configuration.lr % 1.0
        store.finish_trial(lease, trial.trial_id, Outcome("complete", value, verdict="", cause="healthy"))
