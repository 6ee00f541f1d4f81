"""What studies, workers, delete and logs say, from a database with one of everything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from hpo.cli.app import run_command
from hpo.queue import control
from hpo.queue.worker_registry import WorkerRegistration
from hpo.settings import settings
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore

Capture = pytest.CaptureFixture[str]


def _out(capsys: Capture, *command: str, code: int = 0) -> list[str]:
    capsys.readouterr()
    assert run_command(command) == code
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def own(demo_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of the demo database that may be changed."""
    shutil.copy(demo_path, tmp_path / "own.db")
    url = f"sqlite:///{tmp_path / 'own.db'}"
    monkeypatch.setenv("HPO_STORAGE", url)
    settings.cache_clear()
    return url


def test_studies_have_state_progress_best_and_priority(own: str, capsys: Capture) -> None:
    heading, row = _out(capsys, "studies")
    assert heading.split()[:7] == ["study", "state", "priority", "done", "running", "best", "data"]
    assert row.split()[:7] == ["demo", "running", "0", "5/6", "1", "0.8125", "synthetic"]
    with ResultsStore(own) as store:
        control.stop(store, 1)
    (study,) = json.loads("\n".join(_out(capsys, "studies", "--json")))
    assert (study["study"], study["state"], study["done"], study["trials"]) == ("demo", "stopped", 5, 6)


def test_workers_are_listed_with_their_trials(own: str, capsys: Capture) -> None:
    with ResultsStore(own) as store:
        WorkerRegistration(
            store, "lab:7:1.00", device="cuda:0", tags=frozenset({"gpu", "a100"}), studies=("demo",)
        )
    heading, busy, idle = _out(capsys, "workers")
    assert heading.split()[:4] == ["worker", "state", "study", "trial"]
    assert busy.split()[:5] == ["host:1:w", "at", "work", "demo", "5"]
    assert idle.split()[:4] == ["lab:7:1.00", "idle", "–", "–"]
    assert idle.split()[5:] == ["s", "ago", "cuda:0", "a100,", "gpu", "demo"]
    found = json.loads("\n".join(_out(capsys, "workers", "--json")))
    assert [(each["worker"], each["state"]) for each in found] == [
        ("host:1:w", "at work"),
        ("lab:7:1.00", "idle"),
    ]


def test_workers_of_this_machine_are_well_or_the_exit_code_says_so(own: str, capsys: Capture) -> None:
    assert _out(capsys, "workers", "--here", code=1) == [
        "no workers: `hpo worker` starts some, on any machine"
    ]
    with ResultsStore(own) as store:
        WorkerRegistration(store, worker_id(), device="cpu", tags=frozenset(), studies=())
        assert [line.split()[1] for line in _out(capsys, "workers", "--here")[1:]] == ["idle"]
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE hpo_worker SET seen_at = seen_at - 61"))
    assert [line.split()[1] for line in _out(capsys, "workers", "--here", code=1)[1:]] == ["silent"]


def test_a_study_is_deleted_only_when_it_is_said_so(own: str, capsys: Capture) -> None:
    assert run_command(["delete", "demo", "--yes"]) == 2
    assert "1 worker holds a trial of demo: `hpo stop demo --wait` first" in capsys.readouterr().err
    assert run_command(["delete", "demo", "--force"]) == 2  # nobody can be asked in a pipe
    said = capsys.readouterr().err
    assert "permanently deletes demo with 6 trials (5 done, best 0.8125)" in said and "--yes" in said
    assert run_command(["delete", "dem", "--yes"]) == 2
    assert "did you mean demo?" in capsys.readouterr().err
    assert _out(capsys, "studies")[1].startswith("demo")
    assert _out(capsys, "delete", "demo", "--force", "--yes") == ["deleted demo"]
    assert _out(capsys, "studies") == [
        "no studies yet: `hpo run quickstart` starts one; `hpo studies --bundled` lists more"
    ]


def test_the_log_of_a_trial(own: str, capsys: Capture) -> None:
    lines = [line[21:] for line in _out(capsys, "logs", "demo", "4")]
    assert lines == [
        "attempt 1 begins on cpu  (host:1:w)",
        "attempt 1 failed after epoch 0  (host:1:w)",
        "failed: error: ValueError: \\x1b[31mno",
        "Traceback ...",
        "ValueError: \\x1b[31mno",
    ]
    entries = json.loads("\n".join(_out(capsys, "logs", "demo", "1", "--json")))
    assert [each["kind"] for each in entries] == ["begun", "epoch", "epoch", "epoch", "ended", "verdict"]
    assert run_command(["logs", "demo", "99"]) == 2
