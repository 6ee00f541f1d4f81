from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.trial import output

PROGRAM = """
import os, sys, warnings
from pathlib import Path
from hpo.trial import output

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1)
os.dup2(log, 2)
output.capture_to(Path(sys.argv[1]))
print("first")
assert output.drain() == "first", "with what was still in a buffer"
os.write(2, b"second\\n")
assert output.drain() == "second", "without what was taken before"
assert output.drain() == ""
print("left")
"""


def test_what_is_printed_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True, env=dict(os.environ))
    assert path.read_text() == "left\n"


def test_a_process_that_prints_to_a_terminal_keeps_nothing() -> None:
    assert output.drain() == ""


def test_of_much_the_end_is_kept_from_the_start_of_a_line_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {i:06}\n" for i in range(20_000)))
    kept = output.tail(path)
    assert len(kept) <= output.MOST_BYTES
    assert kept.startswith("line 0") and kept.endswith("line 019999")
    path.write_bytes(b"\xff\xfe broken")
    assert output.tail(path) == "\ufffd\ufffd broken"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "worker.log"
    monkeypatch.setattr(output, "_log", path)
    return path


def test_drain_of_large_output_keeps_its_start_and_end(log: Path) -> None:
    log.write_text("first\n" + "x" * 99 + "\n" + "".join(f"line {i}\n" for i in range(50_000)) + "last\n")
    text = output.drain()
    assert text.startswith("first\n") and text.endswith("last")
    assert "kB left out" in text
    assert output.MOST_BYTES - 200 < len(text) <= output.MOST_BYTES + 100
    assert log.read_text() == ""


def test_bound_gives_the_middle_of_a_large_file_back(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LARGE_BYTES", 200_000)
    with log.open("a") as file:  # as a process whose output it is
        file.write("first\n" + f"{'y' * 99}\n" * 5_000)
        file.flush()
        output.bound()
        assert log.stat().st_blocks * 512 < 200_000
        assert "\0" not in output.tail(log)
        file.write("last\n")
    text = output.drain()
    assert text.startswith("first\n") and text.endswith("last") and "\0" not in text
    assert "[... 435 kB left out ...]" in text
    assert not log.read_text()


def test_bound_cuts_a_large_file_where_holes_are_refused(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LARGE_BYTES", 200_000)
    monkeypatch.setattr(output, "_punch_hole", lambda path: False)
    with log.open("a") as file:
        file.write("first\n" + "y" * 300_000 + "\n")
        file.flush()
        output.bound()
        assert log.stat().st_size < output.MOST_BYTES + 100
        file.write("last\n")
    text = output.drain()
    assert text.startswith("first\n") and text.endswith("last")


WRITER = """
import os, sys

log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(60_000):
    os.write(log, f"line {number:06}\\n".encode())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere lines can be lost")
def test_bound_loses_no_line_that_is_written_meanwhile(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LARGE_BYTES", 100_000)
    log.touch()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(log)]) as writer:
        while writer.poll() is None:
            output.bound()
    assert writer.returncode == 0
    assert log.stat().st_size == 60_000 * len("line 000000\n")
    assert log.stat().st_blocks * 512 < 60_000 * len("line 000000\n")
    tail = output.tail(log).splitlines()
    assert tail == [f"line {number:06}" for number in range(60_000 - len(tail), 60_000)]
    assert len(tail) > 5_000


def test_short_output_is_left_whole(log: Path) -> None:
    log.write_text("one\ntwo\n")
    output.bound()
    assert output.drain() == "one\ntwo"
