"""`hpo dashboard` stops after Ctrl-C while it draws."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.helpers import forked

TOKEN = "0123456789abcdef"
START = """
import sys
from hpo.cli.app import main
from hpo.reporting.dashboard import annotations, server
sys.argv[0] = "hpo"
"""
PATIENT = f"{START}server._SHUTDOWN_SECONDS = 120.0\n"  # a loaded machine draws slowly
IMPATIENT = f"{START}server._SHUTDOWN_SECONDS = 0.0\n"
# Every operation of PyTorch takes the GIL in a C++ destructor, which is what aborts.
ENDLESS = """
import torch
matrix = torch.rand(200, 200)
def draw(trial):
    print("drawing", flush=True)
    while True:
        torch.mm(matrix, matrix)
annotations.trial_curves = draw
"""
PICTURES = [f"/artifacts/1/{trial}/c-0" for trial in range(1, 13)]


@contextmanager
def dashboard(path: Path, *python: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process, and its port."""
    command = [*python, "dashboard", "--storage", f"sqlite:///{path}", "--port", "0"]
    with forked.ForkedPython(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HPO_DASHBOARD_TOKEN": TOKEN},
    ) as process:
        assert process.stdout is not None
        yield process, urlsplit(process.stdout.readline().split()[0]).port or 0
        process.kill()


def asking(port: int, paths: list[str]) -> tuple[list[Thread], list[bytes]]:
    """Start threads that request the paths; return them and the list of complete answers so far."""
    got: list[bytes] = []

    def ask(path: str) -> None:
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
                got.append(connection.getresponse().read())
            except (OSError, HTTPException):
                return

    threads = [Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    return threads, got


def wait_for_first(got: list[bytes]) -> None:
    """Wait until the drawing has started."""
    until = time.monotonic() + 60
    while not got and time.monotonic() < until:
        time.sleep(0.005)
    assert got


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_shutdown_finishes_answers_in_progress(watched_path: Path, signum: signal.Signals) -> None:
    with dashboard(watched_path, "-c", f"{PATIENT}main()") as (process, port):
        threads, got = asking(port, PICTURES)
        wait_for_first(got)
        process.send_signal(signum)
        _, errors = process.communicate(timeout=150)
        for thread in threads:
            thread.join()
    assert (process.returncode, errors) == (0, "")
    assert len(got) == len(PICTURES)
    assert all(picture.startswith(b"\x89PNG") and picture.endswith(b"IEND\xaeB`\x82") for picture in got)


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.03, 0.08])
def test_shutdown_in_the_middle_of_a_picture(watched_path: Path, pause: float) -> None:
    with dashboard(watched_path, "-c", f"{IMPATIENT}main()") as (process, port):
        threads, got = asking(port, PICTURES)
        wait_for_first(got)
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        for thread in threads:
            thread.join()
    assert (process.returncode, errors) == (0, "")
    assert len(got) < len(PICTURES)


@pytest.mark.slow
def test_shutdown_with_a_thread_in_native_code(watched_path: Path) -> None:
    with dashboard(watched_path, "-c", f"{IMPATIENT}{ENDLESS}main()") as (process, port):
        (thread,), got = asking(port, PICTURES[:1])
        assert process.stdout is not None
        assert process.stdout.readline() == "drawing\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        thread.join()
    assert (process.returncode, errors, got) == (0, "", [])
