"""The first signal sets a flag and nothing else; the second kills, unless it is SIGHUP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hpo.signals import SIGNALS, StopRequestedError, stop_on_signals, waiting_for_children


@pytest.mark.parametrize(
    ("signum", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_the_first_sets_a_flag_and_nothing_else(signum: signal.Signals, exit_code: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with stop_on_signals() as flag:
        flag.check()
        signal.raise_signal(signum)
        assert (flag.signum, flag.exit_code) == (signum, exit_code)
        # A terminal that closes sends SIGHUP several times.
        expected = [signal.SIG_DFL, signal.SIG_DFL, signal.SIG_IGN]
        assert [signal.getsignal(each) for each in SIGNALS] == expected
        with pytest.raises(StopRequestedError):
            flag.check()
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_ignored_sighup_stays_ignored_as_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as flag:
            signal.raise_signal(signal.SIGHUP)
            assert flag.signum == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_exit_code_of_a_child_is_known_where_sigchld_was_ignored() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with waiting_for_children():
            assert os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1] == 0
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


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


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_kills(second: signal.Signals) -> None:
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "still here\n"
        process.send_signal(second)
        assert process.wait() == -second
