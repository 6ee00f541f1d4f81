"""Runs the real command in processes of its own, on tiny studies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from hpo.storage.studies import results_engine
from tests.helpers import forked

STUDY = """\
study: tiny
seed: 1
trials: {trials}
fixed:
  dataset: synthetic
  train_images: {images}
  width: 4
  depth: 3
  epochs: {epochs}
  batch_size: 50
space:
  lr: {{log: [1.0e-3, 1.0]}}
  activation: {{choice: [relu, tanh]}}
  batch_norm: {{choice: [none, before]}}
"""


@dataclass
class Hpo:
    """The `hpo` command in a folder and environment of its own."""

    folder: Path
    environment: dict[str, str]

    def write_study(self, trials: int = 4, epochs: int = 2, images: int = 1000) -> str:
        path = self.folder / "tiny.yaml"
        path.write_text(STUDY.format(trials=trials, epochs=epochs, images=images))
        return str(path)

    def __call__(
        self, *arguments: str, timeout: float = 240, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; a ``fresh`` one in an interpreter that loads everything itself."""
        if fresh:
            return subprocess.run(
                [*COMMAND, *arguments],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        return forked.run(["-m", "hpo", *arguments], cwd=self.folder, env=self.environment, timeout=timeout)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Read from the database in this process, which is ten times as fast as `hpo query`."""
        engine = results_engine(self.environment["HPO_STORAGE"])
        with engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(text(sql)).mappings()]
        engine.dispose()
        return rows

    def start(self, *arguments: str) -> Running:
        process = forked.ForkedPython(
            ["-m", "hpo", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Running(process)


COMMAND = [sys.executable, "-m", "hpo"]
EVENT_SECONDS = 200.0
"""Longest wait for an event: the slowest is the first epoch on a busy machine."""


@dataclass
class Running:
    """A command under way that prints JSON lines."""

    process: subprocess.Popen[str]

    def wait_for(self, kind: str, where: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """Return the next event of that kind for which ``where`` holds; fail if it does not come in time."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(EVENT_SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                event: dict[str, Any] = json.loads(line)
                if event["event"] == kind and (where is None or where(event)):
                    return event
        finally:
            watchdog.cancel()
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
