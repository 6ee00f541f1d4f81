"""One worker of a study, which a test may kill: ``python -m tests.helpers.killable_worker ORDER``."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

import time_machine

from hpo.signals import StopRequestedError, stop_on_signals
from hpo.testing import faults
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder


def work(order: dict[str, Any]) -> int:
    faults.arm(order["fault"])
    if order["clock_ahead"]:
        time_machine.travel(time.time() + order["clock_ahead"]).start()
    # SIGPROF has no handler: like SIGKILL it ends the process between any two instructions.
    signal.setitimer(signal.ITIMER_PROF, order["dies_after"] or 0)
    with stop_on_signals() as stop:
        try:
            serve(
                WorkOrder(order["url"], (order["study"],), "cpu", workers=2),
                lambda event: None,
                stop.check,
                lambda ready: None,
            )
        except StopRequestedError:
            return stop.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(work(json.loads(sys.argv[1])))
