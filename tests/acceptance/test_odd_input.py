"""Every command takes odd arguments, files and databases: no traceback, no unexpected error or exit code."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

import hpo
from hpo.cli.app import run_command
from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.events import RunSummary
from hpo.reporting.doctor import machine
from hpo.settings import settings
from hpo.storage.store import ResultsStore
from hpo.workers.service import ServiceSummary
from hpo.workers.submit import submit_study
from tests.helpers.odd_input import STUDY, arguments, commands, study_text, write_files

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("HPO_TEST_ODD_INPUTS", "500"))
EXIT_CODES = {0, 1, 2, 3, 130, 143}
"""Those that docs/operations.md lists."""
SECONDS = 60


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A folder with a database, kept weights and an exported network, as real commands leave them."""
    folder = tmp_path_factory.mktemp("odd input")
    with _inside(folder, shared_cache):
        (folder / "tiny.yaml").write_text(STUDY)
        assert run_command(["run", "tiny.yaml", "--workers", "1"]) in (0, 3)
        with hpo.load("tiny") as study:
            best = study.status().best_number
        (folder / "odd.part").mkdir()
        assert run_command(["export", "tiny", "--trial", str(best), "-o", "odd.part/exported"]) == 0
        assert run_command(["export-study", "tiny", "-o", "odd.part/study.zip"]) == 0
    _checkpoint(folder / "hpo.db")
    write_files(folder)
    for each in (folder / "odd.part").iterdir():
        shutil.move(each, folder / "odd" / each.name)
    return folder


def _checkpoint(database: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@contextmanager
def _inside(folder: Path, cache: Path) -> Iterator[None]:
    """Run commands in a folder, with everything that they write in it."""
    changes = {
        "HPO_STORAGE": "sqlite:///hpo.db", "HPO_CACHE": str(cache), "HPO_DATA": str(folder / "data"),
        "HPO_ARTIFACTS": str(folder / "artifacts"), "HOME": str(folder), "NO_COLOR": "1",
        "http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        settings.cache_clear()
        try:
            yield
        finally:
            settings.cache_clear()


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever trains, measures speed or serves forever ends at once; all before and after it is real."""

    def submitted(spec: StudySpec, url: str, **_: Any) -> RunSummary:
        with ResultsStore(url) as store:
            progress = submit_study(store, spec).progress
        return RunSummary(spec.study, progress.done, progress.total, False, 1.0, 1)

    def refused(*_: Any, **__: Any) -> Any:
        raise UserError("nothing is trained here")

    monkeypatch.setattr("hpo.workers.run.run_study", submitted)
    monkeypatch.setattr("hpo.workers.ray.run.run_on_ray", refused)
    monkeypatch.setattr("hpo.workers.service.serve_studies", lambda *_: ServiceSummary(0, 1.0, {}, []))
    monkeypatch.setattr("hpo.training.setup.prepare", refused)
    monkeypatch.setattr("hpo.trial.reproduce.Repeat.run", refused)
    monkeypatch.setattr("hpo.trial.export.Export.retrain", refused)
    monkeypatch.setattr("hpo.training.speed.pool_speed", lambda *_: 1000.0)
    for measured in ("measure_speed", "resolve_precision", "explain_precision"):
        monkeypatch.setattr(machine, measured, cache(getattr(machine, measured)))
    monkeypatch.setattr("hpo.reporting.dashboard.server.DashboardServer.serve", _close)
    monkeypatch.setattr("hpo.cli.views.watch.watch", refused)


def _close(dashboard: Any) -> None:
    """Stop a dashboard that was about to serve."""
    dashboard._server.task_dispatcher.shutdown(timeout=5)
    dashboard._server.close()
    dashboard._app.close()


@pytest.mark.parametrize("name", commands())
@pytest.mark.usefixtures("no_training")
def test_command_takes_odd_input(name: str, trained: Path, tmp_path: Path, shared_cache: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(trained, folder, symlinks=True)
    original = (trained / "hpo.db").read_bytes()

    @hypothesis_settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(words=arguments(commands()[name]), text=study_text())
    def takes(words: list[str], text: bytes) -> None:
        (folder / "drawn.yaml").write_bytes(text)
        if (folder / "hpo.db").read_bytes() != original:
            for each in folder.glob("hpo.db*"):
                each.unlink()
            (folder / "hpo.db").write_bytes(original)
        _expect_plain_end(words, text)

    with _inside(folder, shared_cache):
        takes()


def _expect_plain_end(words: list[str], text: bytes) -> None:
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(errors), _alarm(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO())
        code = run_command(words)
    torch.set_flush_denormal(False)  # which training switches on, and Hypothesis cannot have
    said = ""
    for stream in (out, errors):
        with suppress(ValueError):
            stream.flush()
            said += stream.buffer.getvalue().decode("utf-8", "replace")
    what = f"hpo {words!r}\ndrawn.yaml: {text!r}\nexit code {code}\n{said[-3000:]}"
    assert code in EXIT_CODES, what
    assert "should not happen" not in said, what
    assert "Traceback" not in said, what


@contextmanager
def _alarm() -> Iterator[None]:
    """Fail instead of waiting forever."""

    def ring(_: int, __: FrameType | None) -> None:
        raise AssertionError(f"it takes more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
