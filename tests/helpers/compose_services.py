"""The services of a compose file as processes: its commands, environment, health checks and order."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.servers import Server, free_port
from tests.helpers.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Compose:
    """Does what `docker compose` would do with the file; a running PostgreSQL stands in for service `db`."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        self._image = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        self._folder = folder
        self._path = f"{Path(sys.executable).parent}:{server.programs}:{os.environ['PATH']}"
        self._places = {
            "db:5432": f"127.0.0.1:{server.port}",
            "--port=5432": f"--port={server.port}",
            "8080": str(free_port()),
            "/run/secrets": str(folder / "secrets"),
            "/var/lib/hpo": str(folder / "volume"),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def up(self, service: str, number: int = 1) -> subprocess.Popen[bytes]:
        """Start a service once those that it depends on are in the state that it needs."""
        for other, how in self._service(service).get("depends_on", {}).items():
            if other != "db" and other not in self.processes:
                self.up(other)
            if how["condition"] == "service_completed_successfully":
                assert self.processes[other].wait() == 0, self.output(other)
            else:
                self.wait_until_healthy(other)
        name = service if number == 1 else f"{service}-{number}"
        with self._log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                self._command(service),
                env=self._environment(service),
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=self._cores(service),
            )
        return self.processes[name]

    def run(self, service: str, *arguments: str) -> str:
        """Return what a command of the image prints, as `docker compose run SERVICE ...` does."""
        done = self._run(service, arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, service: str, *arguments: str) -> str:
        """Return what such a command prints on stderr when it must fail."""
        done = self._run(service, arguments)
        assert done.returncode and "Traceback" not in done.stderr, done.stdout + done.stderr
        return done.stderr

    def _run(self, service: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._entrypoint(), *arguments],
            env=self._environment(service),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def healthy(self, service: str) -> bool:
        """Return whether the health check of the service succeeds."""
        check = self._service(service)["healthcheck"]
        assert check["test"][0] == "CMD"
        command = [self._here(word) for word in check["test"][1:]]
        limit = float(check["timeout"].removesuffix("s"))
        environment = self._environment(service)
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=limit)
            return done.returncode == 0
        return False

    def wait_until_healthy(self, service: str) -> None:
        name = None if service == "db" else service
        self.wait_until(lambda: self.healthy(service), f"a healthy {service}", name, every=0.5)

    def wait_until(
        self, condition: Callable[[], bool], what: str, name: str | None, every: float = 0.1
    ) -> None:
        """Wait for a condition while the named process runs."""

        def holds() -> bool:
            assert name is None or self.processes[name].poll() is None, self.output(name)
            return condition()

        wait_until(holds, what, every=every, details=lambda: self.output(name) if name else "")

    def stop(self, name: str) -> int:
        """Send SIGTERM and return the exit code, which must come within the file's grace period."""
        grace = self._service(name.partition("-")[0])["stop_grace_period"]
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes[name].wait(timeout=float(grace.removesuffix("s")))

    def output(self, name: str) -> str:
        return self._log(name).read_text()

    def kill_all(self) -> None:
        """Leave nothing behind when a test has failed."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
                process.wait()

    def _service(self, name: str) -> dict[str, Any]:
        service: dict[str, Any] = self._document["services"][name]
        return service

    def _command(self, service: str) -> list[str]:
        return [*self._entrypoint(), *(self._here(word) for word in self._service(service)["command"])]

    def _entrypoint(self) -> list[str]:
        found = re.search(r"^ENTRYPOINT (.*)$", self._image, re.MULTILINE)
        assert found
        entrypoint: list[str] = yaml.safe_load(found[1])
        return entrypoint

    def _environment(self, service: str) -> dict[str, str]:
        (line,) = re.findall(r"^ENV (.*)$", self._image, re.MULTILINE)
        of_image = dict(word.split("=", 1) for word in shlex.split(line))
        given = of_image | self._service(service)["environment"] | {"PATH": self._path}
        return {name: self._here(value) for name, value in given.items()}

    def _cores(self, service: str) -> Any:
        """Return a function that limits a process to the cores that the file gives it."""
        if "cpus" not in self._service(service):
            return None
        cores = sorted(os.sched_getaffinity(0))[: int(self._here(self._service(service)["cpus"]))]
        return lambda: os.sched_setaffinity(0, cores)

    def _here(self, text: str) -> str:
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        there = "|".join(re.escape(place) for place in self._places)
        return re.sub(there, lambda found: self._places[found[0]], text)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
