"""Start Python programs as forks of a process that has PyTorch and the rest loaded (``zygote.py``)."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.helpers.zygote import Forker, Request, channel_pair

_ROOT = Path(__file__).parents[2]


class ForkedPython(subprocess.Popen[str]):
    """``python *arguments``, as ``subprocess.Popen`` starts it, but with its libraries loaded.

    For programs of which the start itself is not tested. Options of the interpreter are not supported.
    """

    def __init__(self, arguments: Sequence[str], **options: Any) -> None:
        super().__init__([str(argument) for argument in arguments], **options)

    def _execute_child(
        self,
        args: list[str],
        executable: Any,
        preexec_fn: Any,
        close_fds: Any,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        startupinfo: Any,
        creationflags: Any,
        shell: Any,
        p2cread: int,
        p2cwrite: int,
        c2pread: int,
        c2pwrite: int,
        errread: int,
        errwrite: int,
        restore_signals: Any,
        gid: Any,
        gids: Any,
        uid: Any,
        umask: Any,
        start_new_session: bool,
        process_group: Any = -1,
    ) -> None:
        given = (p2cread, c2pwrite, errwrite)
        standard = [number if number != -1 else default for default, number in enumerate(given)]
        environment = dict(os.environ if env is None else env)
        folder = str(Path(cwd or ".").resolve())
        request = Request(args, environment, folder, [0, 1, 2], start_new_session)
        self.pid = _zygote().fork(request, standard)
        self._child_created = True
        self._close_pipe_fds(  # type: ignore[attr-defined]
            p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite
        )


def run(
    arguments: Sequence[str], *, input: str | None = None, timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """``python *arguments``, as ``subprocess.run(..., capture_output=True, text=True)`` runs it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if input is not None:
        pipes["stdin"] = subprocess.PIPE
    with ForkedPython(arguments, **pipes, **options) as process:
        try:
            output, errors = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def start(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """``python *arguments`` in the folder of the repository; return its pid, for ``os.waitpid``."""
    return _zygote().fork(Request(list(arguments), environment, str(_ROOT), [0, 1, 2]), [0, 1, 2])


@cache
def _zygote() -> Forker:
    """Start the zygote of this test process; it ends with it."""
    ours, theirs = channel_pair()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.zygote", str(theirs.fileno())],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    if ours.recv(64) != b"ready":
        raise RuntimeError(f"the zygote failed with exit code {process.wait()}")

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return Forker(ours)
