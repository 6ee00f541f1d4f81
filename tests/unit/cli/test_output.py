"""The standard streams of the program: what happens when they cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from hpo.cli.output import OutputLostError, StandardStream, check_reader


@pytest.fixture
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


def test_stream_raises_once_and_then_drops_what_is_written(full: int) -> None:
    stream = StandardStream(full, "standard output")
    with pytest.raises(
        OutputLostError, match="cannot write standard output: No space left on device"
    ) as lost:
        stream.write(b"first")
    assert lost.value.exit_code == 1
    assert stream.write(b"again") == 5
    assert stream.lost is lost.value


def test_stream_whose_reader_left_has_the_exit_code_of_sigpipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(OutputLostError) as lost:
        StandardStream(writer, "standard output").write(b"x")
    assert lost.value.exit_code == 141
    os.close(writer)


def test_stream_raises_only_in_the_main_thread(full: int) -> None:
    stream = StandardStream(full, "standard output")
    drawing = threading.Thread(target=stream.write, args=(b"drawn",))
    drawing.start()
    drawing.join()
    assert stream.lost is not None
    with pytest.raises(OutputLostError):
        stream.write(b"x")


def test_stream_waits_for_a_slow_reader_of_a_pipe_that_does_not_block() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = StandardStream(writer, "standard output")
    sent = 0
    while (chunk := stream.write(b"x" * 4096)) == 4096 and sent < 2**16 - 4096:
        sent += chunk
    drain = threading.Timer(0.0, os.read, (reader, 2**16))
    drain.start()
    assert stream.write(b"y" * 4096) == 4096
    drain.join()
    os.close(reader)
    os.close(writer)


def test_check_reader_raises_once_the_reader_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        check_reader()
        os.close(reader)
        with pytest.raises(OutputLostError) as lost:
            check_reader()
    assert lost.value.exit_code == 141


_STREAMS = """
import os, sys
from hpo.cli.output import standard_streams
with standard_streams():
    print(os.open(os.devnull, os.O_RDONLY) > 2, sys.stdin.read() == "", flush=True)
    print("dropped", file=sys.stderr)
"""


@pytest.mark.parametrize("closed", [("0",), ("0", "1"), ("0", "1", "2")])
def test_closed_streams_become_the_null_device(closed: tuple[str, ...]) -> None:
    # Otherwise the database's file gets the number of the closed stream, and what is printed.
    without = " ".join(f"{number}<&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {without}', "sh", sys.executable, "-c", _STREAMS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("" if "1" in closed else "True True\n")
    assert done.stderr == ("" if "2" in closed else "dropped\n")
