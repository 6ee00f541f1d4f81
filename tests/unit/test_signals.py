"""The first signal sets a flag and nothing else; the second kills."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from hpo.signals import SIGNALS, StopRequestedError, stop_on_signals


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_sets_a_flag_and_nothing_else(signum: signal.Signals, exit_code: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with stop_on_signals() as flag:
        flag.check()
        signal.raise_signal(signum)
        assert (flag.signum, flag.exit_code) == (signum, exit_code)
        assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_DFL] * 2
        with pytest.raises(StopRequestedError):
            flag.check()
    assert [signal.getsignal(each) for each in SIGNALS] == before


_PROGRAM = """
import os, signal
from hpo.signals import stop_on_signals
woken, wake = os.pipe()  # a signal that comes before it is waited for is not missed
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)
with stop_on_signals() as flag:
    print("ready", flush=True)
    os.read(woken, 1)
    print("still here", flush=True)
    while True:
        signal.pause()
"""


@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_kills(second: signal.Signals) -> None:
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "still here\n"
        process.send_signal(second)
        assert process.wait() == -second
