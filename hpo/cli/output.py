"""The standard streams of the ``hpo`` program: a write that fails ends the command in good order."""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

READER_LEFT = 128 + signal.SIGPIPE
"""The exit code after the reader of a pipe has left, by the shell's convention: 141."""


class OutputLostError(BaseException):
    """A standard stream cannot be written any more. Not an ``Exception``: it is not a trial's failure."""

    def __init__(self, stream: str, error: OSError) -> None:
        self.stream = stream
        self.error = error
        super().__init__(f"cannot write {stream}: {error.strerror or error}")

    @property
    def exit_code(self) -> int:
        """141 if the reader of a pipe has left, otherwise 1."""
        return READER_LEFT if self.error.errno == errno.EPIPE else 1


class StandardStream(io.FileIO):
    """A standard stream's descriptor. The first write that fails raises ``OutputLostError``, once.

    Later writes are dropped, so that a command can end in good order. Only the main thread can end it: in
    other threads nothing is raised.
    """

    def __init__(self, descriptor: int, title: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.lost: OutputLostError | None = None
        self._title = title
        self._raised = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write and return the number of bytes; waits where the descriptor does not block."""
        if self.lost is None:
            try:
                while (written := super().write(data)) is None:
                    select.select([], [self], [])
                return written
            except OSError as error:
                self.lost = OutputLostError(self._title, error)
        if not self._raised and threading.current_thread() is threading.main_thread():
            self._raised = True
            raise self.lost
        return memoryview(data).nbytes


@contextmanager
def standard_streams() -> Iterator[list[StandardStream]]:
    """Within the block, write stdout and stderr through a ``StandardStream`` each, and provide both.

    A stream that is closed (``>&-``) is replaced by the null device.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    # The number of a closed stream would go to the next file: to the database, say.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    streams = [StandardStream(1, "standard output"), StandardStream(2, "standard error")]
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout, sys.stderr = map(_text, streams, (sys.stdout, sys.stderr))
    try:
        yield streams
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _text(raw: StandardStream, like: TextIO | None) -> io.TextIOWrapper:
    """Return a text stream with the encoding and buffering of the one that it replaces."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding if like else None,
        errors=(like.errors if like else None) or "replace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
        write_through=bool(getattr(like, "write_through", False)),
    )


def lost_output(streams: list[StandardStream]) -> OutputLostError | None:
    """Write what is still in memory, and return why a stream could not be written, if so."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OutputLostError):
            stream.flush()
    return next((each.lost for each in streams if each.lost), None)


def check_reader() -> None:
    """Raise ``OutputLostError`` if stdout is a pipe whose reader has left; a write would tell only later."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # no file, as in a test
        return
    poll = select.poll()
    poll.register(descriptor, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise OutputLostError("standard output", BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))


@contextmanager
def saying_what_is_saved(how_to_resume: str) -> Iterator[None]:
    """Say on stderr what became of the trials if the output is lost while the block trains them."""
    try:
        yield
    except OutputLostError:
        from hpo.cli.console import print_warning

        with suppress(OutputLostError):
            print_warning(f"nothing can be printed any more: the trials are saved; {how_to_resume}")
        raise
