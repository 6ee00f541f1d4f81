from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
