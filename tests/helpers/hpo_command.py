"""Runs the `hpo` command on tiny studies: in a process of its own, or in this one where that is enough."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from hpo.cli.app import run_command
from hpo.settings import settings

STUDY = """\
study: tiny
seed: 1
trials: {trials}
fixed:
  dataset: synthetic
  train_images: 1000
  width: 4
  depth: 3
  epochs: {epochs}
  batch_size: 50
space:
  lr: {{log: [1.0e-3, 1.0]}}
  activation: {{choice: [relu, tanh]}}
  batch_norm: {{choice: [none, before]}}
"""
COMMAND = [sys.executable, "-m", "hpo"]
EVENT_SECONDS = 200.0
"""An event that has not come by then does not come: the slowest is the first epoch on a busy machine."""


@dataclass
class Hpo:
    """The `hpo` command in a folder and environment of its own."""

    folder: Path
    environment: dict[str, str]

    def write_study(self, trials: int = 4, epochs: int = 2) -> str:
        path = self.folder / "tiny.yaml"
        path.write_text(STUDY.format(trials=trials, epochs=epochs))
        return str(path)

    def __call__(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def here(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, which saves starting one: for commands that do not train."""
        out, err = io.StringIO(), io.StringIO()
        settings.cache_clear()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run_command(arguments)
        settings.cache_clear()
        return subprocess.CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())

    def rows(self, sql: str) -> list[dict[str, Any]]:
        done = self.here("query", "--format", "json", sql)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def start(self, *arguments: str) -> Running:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Running(process)


@dataclass
class Running:
    """A command under way that prints JSON lines."""

    process: subprocess.Popen[str]

    def wait_for(self, kind: str, where: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """Return the next event of that kind for which ``where`` holds; fail if it does not come in time."""
        assert self.process.stdout is not None
        with self._killed_after(EVENT_SECONDS):
            for line in self.process.stdout:
                event: dict[str, Any] = json.loads(line)
                if event["event"] == kind and (where is None or where(event)):
                    return event
        raise AssertionError(f"no {kind} within {EVENT_SECONDS:g} s or before the end: {self.end()}")

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [*parent.children(recursive=True), parent]

    def kill_all(self) -> None:
        """SIGKILL to the command and every process it started."""
        for process in self.family():
            process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)

    def end(self) -> tuple[int, str]:
        """Wait for the end; exit code and standard error."""
        _, errors = self.process.communicate(timeout=EVENT_SECONDS)
        return self.process.returncode, errors

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
