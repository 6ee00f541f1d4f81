"""A program under way: what becomes of it, of its children and of what it has printed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from hpo.trainer.program import Program
from hpo.trainer.reaper import wait_for_metrics

PRINTED = 'echo \'{"hpo": {"epoch": 1, "a": 1}}\'; echo other; '
WORKER = """
import os, sys, time
from pathlib import Path
from hpo.trainer.program import Program
metrics = Path("metrics").absolute()
Program(["sh", "-c", sys.argv[1]], {**os.environ, "HPO_TRIAL_METRICS": str(metrics)}, metrics)
time.sleep(60)
"""


def _runs(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until(done: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)


def test_killed_worker_takes_the_group_along_and_loses_no_metrics(tmp_path: Path) -> None:
    """The worker has read nothing of what the program has printed."""
    (tmp_path / "metrics").touch()
    program = f"{PRINTED} setsid sleep 60 & echo $! > child; kill -9 $PPID; wait"
    worker = subprocess.run([sys.executable, "-c", WORKER, program], cwd=tmp_path, check=False)
    assert worker.returncode == -9
    wait_for_metrics(tmp_path / "metrics")
    child = int((tmp_path / "child").read_text())
    assert not _runs(child)
    assert (tmp_path / "metrics").read_text() == '{"hpo": {"epoch": 1, "a": 1}}\n'


def test_output_is_passed_on_and_metrics_go_to_the_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics = tmp_path / "metrics"
    program = Program(["sh", "-c", f"{PRINTED} echo 'bar 1\rbar 2' >&2; exit 3"], dict(os.environ), metrics)
    _wait_until(lambda: not program.read(0.1) and program.has_ended())
    program.end()
    assert program.code == 3 and set(program.last_lines) >= {"other", "bar 2"}
    assert program.like_a_report == ""
    assert metrics.read_text() == '{"hpo": {"epoch": 1, "a": 1}}\n'
    assert "other\n" in capfd.readouterr().out


def test_program_that_leaves_a_child_ends_with_it(tmp_path: Path) -> None:
    """The child holds the output open."""
    program = Program(
        ["sh", "-c", "sleep 60 & echo $! > $0", str(tmp_path / "child")], dict(os.environ), tmp_path
    )
    _wait_until(program.has_ended)
    program.end()
    assert program.code == 0
    child = int((tmp_path / "child").read_text())
    _wait_until(lambda: not _runs(child))  # the kernel takes a moment
    assert not _runs(child)


@pytest.mark.parametrize(
    "prints",
    [
        """echo '{"hpo": {"a": 1}}' >&2""",
        """echo 'INFO {"hpo": {"a": 1}}'""",
        """echo "{'hpo': {'a': 1}}" """,
        """printf '{\n "hpo": {"a": 1}}\n'""",
    ],
)
def test_line_that_was_meant_as_a_report_is_remembered(tmp_path: Path, prints: str) -> None:
    metrics = tmp_path / "metrics"
    program = Program(["sh", "-c", f"echo other; {prints}"], dict(os.environ), metrics)
    _wait_until(lambda: not program.read(0.1) and program.has_ended())
    program.end()
    assert "hpo" in program.like_a_report and metrics.read_text() == ""
