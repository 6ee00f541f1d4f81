"""`hpo status --watch`, compared with what the study's workers wrote."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import select

from hpo.cli.app import run_command
from hpo.cli.views import watch as watching
from hpo.queries.live import StudyNow, study_now
from hpo.records import EpochResult, Outcome
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.storage.studies import results_engine
from hpo.storage.tables import SlotRow
from tests.helpers.report_study import ODD_TEXT, drawn, outcome, watched_study

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watch") / "watched.db"
    watched_study(path)
    return path


@pytest.fixture
def url(template: Path, tmp_path: Path) -> str:
    shutil.copy(template, tmp_path / "watched.db")
    return f"sqlite:///{tmp_path / 'watched.db'}"


@pytest.fixture
def now(url: str) -> StudyNow:
    engine = results_engine(url)
    found = study_now(engine, "watched")
    engine.dispose()
    return found


def _lines(now: StudyNow, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, markup=False)
    with console.capture() as capture:
        console.print(watching.view(now, clock=lambda: 1000.0))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_watch_shows_what_hpo_run_shows(now: StudyNow) -> None:
    lines = _lines(now)
    text = "\n".join(lines)
    assert lines[0] == "watched  24 trials"
    assert "23 of 24 trials" in lines[1] and "3,000 images/s" in lines[1] and "left" in lines[1]
    value, number = max((found.value, each) for each in range(23) if (found := outcome(each)) and found.value)
    assert lines[2].startswith("1 running") and lines[2].endswith(f"best {value:.4f} (trial {number})")
    running = next(line for line in lines if line.lstrip().startswith("23  "))
    assert "2/4" in running and "0.2000" in running and "3,000" in running
    assert f"activation {drawn(23)['activation']}" in running
    assert "22  complete" in text or "22  pruned" in text


def test_watch_shows_latest_findings_without_passes(now: StudyNow) -> None:
    exploded = [each for each in range(24) if (found := outcome(each)) and found.cause == "lr_too_high"]
    assert [finding.number for finding in now.findings] == exploded[-3:]
    shown = [line for line in _lines(now) if "exploding_loss" in line]
    assert len(shown) == 3 and f"{exploded[-1]}  fatal" in shown[0]
    assert "initial_loss" not in "\n".join(_lines(now))


def test_watch_time_left_follows_from_epoch_times(now: StudyNow) -> None:
    """Two of four epochs are done: the rest takes as long as these."""
    progress = watching.progress_of(now, clock=lambda: 1000.0)
    trial = progress.running[23]
    assert (trial.epoch, trial.epochs, trial.first_epoch) == (2, 4, 0)
    per_epoch = (trial.epoch_at - trial.began) / 2
    expected = max(0.0, max(4 * per_epoch, 1000.0 - trial.began) - (1000.0 - trial.began))
    assert progress.seconds_left() == pytest.approx(expected)


def test_watch_escapes_control_characters(now: StudyNow) -> None:
    assert "\x1b" in ODD_TEXT
    assert any("\x1b" in (each.verdict or "") for each in now.ended)
    assert "\x1b" not in "\n".join(_lines(now, 400))


@pytest.mark.parametrize("width", [40, 80])
def test_watch_is_not_wider_than_the_terminal(now: StudyNow, width: int) -> None:
    assert max(map(len, _lines(now, width))) <= width


def test_watch_in_a_pipe_prints_a_line_per_change(url: str, capsys: Capture) -> None:
    steps: list[Any] = [lambda: None, lambda: _finish(url)]
    watching.watch(url, "watched", pause=lambda seconds: steps.pop(0)())
    before, after = capsys.readouterr().out.splitlines()
    assert before.startswith("watched  23 of 24 trials done: 1 running, ")
    assert after.startswith("watched  24 of 24 trials done: ") and "best 0.9900 (trial 23)" in after


def test_watch_survives_an_unreadable_database(url: str, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "watched.db"
    whole = path.read_bytes()
    steps: list[Any] = [
        lambda: path.write_bytes(b"no database " * 5000),
        lambda: (path.write_bytes(whole), _finish(url)),
    ]
    watching.watch(url, "watched", pause=lambda seconds: steps.pop(0)())
    before, broken, after = capsys.readouterr().out.splitlines()
    assert "23 of 24" in before and "watched.db" in broken and "24 of 24" in after


def test_watch_ends_on_ctrl_c(url: str, capsys: Capture) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    watching.watch(url, "watched", pause=interrupted)
    assert capsys.readouterr().out.startswith("watched  23 of 24")


def test_watch_without_workers_has_no_time_left(now: StudyNow) -> None:
    idle = replace(now, running=())
    lines = _lines(idle)
    assert lines[0] == "watched  24 trials  no worker is running it; `hpo run` resumes it"
    assert "left" not in lines[1]


def test_watch_refuses_unknown_study_and_json(url: str, capsys: Capture) -> None:
    assert run_command(["status", "wachted", "--watch", "--storage", url]) == 2
    assert "did you mean watched?" in capsys.readouterr().err
    assert run_command(["status", "watched", "--watch", "--json", "--storage", url]) == 2
    assert "--watch and --json exclude each other" in capsys.readouterr().err


def _finish(url: str) -> None:
    """End the last trial, as its worker does."""
    with ResultsStore(url) as store:
        slot = store.read(
            lambda connection: connection.execute(select(SlotRow.__table__).where(SlotRow.slot == 23)).one()
        )
        lease = Lease(slot.study_id, slot.stage, 23, slot.token, slot.trial_id, 2, slot.worker, 3600.0)
        record = EpochResult(3, 0.1, 0.99, 0.1, 0.99, 0.01, 1.0, 4500, 3000.0)
        store.record_epoch(lease, slot.trial_id, record)
        store.finish_trial(
            lease, slot.trial_id, Outcome("complete", value=0.99, verdict="healthy", cause="healthy")
        )
