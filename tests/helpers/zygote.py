"""Forks workers that have everything loaded. Obeys the lines on its stdin and answers on stdout, in JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from typing import Any

import time_machine
import torch._dynamo  # noqa: F401 (the first step of an optimizer would load it)

from hpo import provenance
from hpo.settings import settings
from hpo.signals import StopRequestedError, stop_on_signals
from hpo.testing import faults
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder


def work(order: dict[str, Any]) -> int:
    os.environ.update(order["environment"])
    settings.cache_clear()
    faults.arm(order["fault"])
    if order["clock_ahead"]:
        time_machine.travel(time.time() + order["clock_ahead"]).start()
    # Nobody handles SIGPROF: like SIGKILL it ends the process between any two instructions.
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


def start(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = work(order)
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def wait(pid: int) -> str:
    """How the worker ended, or that it was stopped."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return "stopped"
    return f"exit {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"


# Looked up once in a process.
provenance.running_code()
provenance.running_packages()
print(json.dumps("ready"), flush=True)  # noqa: T201 (its way to answer)
for line in sys.stdin:
    order = json.loads(line)
    answer = wait(order["wait"]) if "wait" in order else start(order)
    print(json.dumps(answer), flush=True)  # noqa: T201
