"""A Python process with everything loaded, which forks the programs that tests start.

Loading PyTorch, Optuna and the rest takes 2 to 4 s of processor time; a forked program has them at once. In
all else it is as if it had been started: arguments, environment, folder, descriptors, a parent that can wait
for it. The processes that it starts with ``multiprocessing`` are forked too, from a process that is set aside
before the program runs.

Run as ``python -m tests.helpers.zygote DESCRIPTOR``; ``tests/helpers/forked.py`` asks it.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import traceback
import types
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import util
from pathlib import Path
from typing import NoReturn

_PR_SET_CHILD_SUBREAPER = 36
_HIGH = 512
"""Received descriptors are moved from here on, out of the way of those that the program is to have."""
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Request:
    """A program to run: ``python *arguments``."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    descriptors: list[int]
    """The numbers under which the program has the descriptors that come with the request."""
    new_session: bool = False


class Forker:
    """The other end of a zygote: has programs forked as children of this process."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def fork(self, request: Request, descriptors: Sequence[int]) -> int:
        """Start the program with these descriptors; return its pid."""
        with self._lock:
            # The zygote orphans the program, and it falls to the nearest ancestor that reaps.
            _reap_orphans(True)
            try:
                socket.send_fds(self._channel, [json.dumps(asdict(request)).encode()], descriptors)
                answer = self._channel.recv(64)
            finally:
                _reap_orphans(False)
        if not answer:
            raise RuntimeError("the zygote has ended")
        return int(answer)

    def spawn(self, _path: object, arguments: Sequence[str | bytes], passed: Sequence[int]) -> int:
        """Stand in for ``multiprocessing.util.spawnv_passfds``."""
        words = [os.fsdecode(word) for word in arguments]
        descriptors = [0, 1, 2, *passed]
        environment = dict(os.environ)
        request = Request(words[words.index("-c") :], environment, str(Path.cwd()), descriptors)
        return self.fork(request, descriptors)


def _reap_orphans(reap: bool) -> None:
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, int(reap), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a channel that keeps the bounds of messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _serve(channel: socket.socket) -> Request:
    """Fork a process for each request; return in each of them, with what it is to run."""
    while True:
        message, received, _, _ = socket.recv_fds(channel, 1 << 20, 64)
        if not message:
            os._exit(0)
        request = Request(**json.loads(message))
        pid = _fork_orphan()
        if pid == 0:
            channel.close()
            _number(received, request.descriptors)
            return request
        for descriptor in received:
            os.close(descriptor)
        channel.send(str(pid).encode())


def _fork_orphan() -> int:
    """Fork a process that begins once this one is no longer its ancestor; return its pid, and 0 in it."""
    pid_read, pid_write = os.pipe()
    go_read, go_write = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid:
            os.write(pid_write, str(pid).encode())
            os._exit(0)
        os.read(go_read, 1)
    else:
        os.waitpid(between, 0)
        pid = int(os.read(pid_read, 64))
        os.write(go_write, b"!")
    for descriptor in (pid_read, pid_write, go_read, go_write):
        os.close(descriptor)
    return pid


def _number(received: list[int], wanted: list[int]) -> None:
    """Give the received descriptors the wanted numbers."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH) for descriptor in received]
    for descriptor in received:
        os.close(descriptor)
    for descriptor, number in zip(moved, wanted, strict=True):
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)


def _set_aside(request: Request) -> Request:
    """Leave a clean process behind that forks what the program starts; return what this process is to run."""
    ours, theirs = channel_pair()
    if os.fork():
        theirs.close()
        util.spawnv_passfds = Forker(ours).spawn  # type: ignore[assignment]
        return request
    ours.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # whoever reads what the program writes waits for the end of each
        os.dup2(null, descriptor)
    os.close(null)
    return _serve(theirs)


def _run(request: Request) -> None:
    """Run the program in this process as the interpreter would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request.new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    _open_standard_streams()
    how, *rest = request.arguments
    given = [path for path in request.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    first = request.folder if how == "-m" else "" if how == "-c" else str(Path(how).resolve().parent)
    sys.path[:] = [first, *given, *sys.path]
    importlib.invalidate_caches()
    if how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        code, *arguments = rest
        sys.argv = ["-c", *arguments]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.argv = request.arguments
        runpy.run_path(how, run_name="__main__")


def _open_standard_streams() -> None:
    by_line = os.isatty(1) or "PYTHONUNBUFFERED" in os.environ
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (open to the end)
    sys.stdout = open(1, "w", 1 if by_line else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _run_and_end(request: Request) -> NoReturn:
    """Run the program and end as the interpreter does, but without taking apart what is loaded: 0.3 s."""
    code: object = 0
    try:
        _run(request)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)  # noqa: T201
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit((code or 0) & 0xFF)


def _load_everything() -> None:
    from sqlalchemy.orm import configure_mappers

    import hpo
    from hpo import provenance
    from hpo.cli.app import command_line
    from tests.helpers.unsynced import write_unsynced

    skipped = ("hpo.integrations", "hpo.storage.migrations", "hpo.models", "hpo.studies")
    for module in pkgutil.walk_packages(hpo.__path__, "hpo."):
        if not module.name.startswith(skipped) and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    for name in ("optuna.cli", "time_machine", "torch._dynamo", "psycopg", "rich.live", "scipy.stats"):
        importlib.import_module(name)
    provenance.running_code()  # looked up once in a process
    provenance.running_packages()
    command_line()
    configure_mappers()
    write_unsynced()


def _main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    sys.path.remove(str(Path.cwd()))  # of this process alone
    _load_everything()
    gc.collect()
    gc.freeze()
    channel.send(b"ready")
    request = _serve(channel)
    if "--multiprocessing-fork" not in request.arguments:
        request = _set_aside(request)
    _run_and_end(request)


if __name__ == "__main__":
    _main()
