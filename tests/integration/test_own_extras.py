"""Trainings of the user's own: files, lines and megabytes that they leave, time over attempts, the median."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.maintenance.deletion import delete_study, find_deletable
from hpo.settings import settings
from hpo.storage.store import ResultsStore
from hpo.trainer.process import end_trainer_process
from tests.conftest import NewDatabase
from tests.helpers.own_training import rows, run, spec, submit, write_trainer

TRAINER = """
import os, signal, time
from pathlib import Path


def run(trial):
    return globals()[trial["does"]](trial)


def constant(trial):
    for _ in trial.epochs():
        trial.report(val_accuracy=trial["lr"])


def merging(trial):
    for epoch in trial.epochs():
        trial.report(train_loss=1 / epoch)
        if epoch == trial.budget:
            break
        if epoch != 3:
            trial.report(val_accuracy=trial["lr"])
    return trial["lr"] / 2


def keeping(trial):
    Path("drawn.txt").write_text("a curve")
    trial.artifact("drawn.txt", "curve.txt")
    trial.log("half way", share=0.5)
    return 0.5


def timed(trial):
    trial.keep(state={})
    for epoch in trial.epochs():
        if epoch == 1:
            time.sleep(0.6)
        if epoch == 2 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        trial.report(val_accuracy=trial.minutes_left)


def printing(trial):
    print("first line")
    for _ in range(200_000):
        print("x" * 100)
    print("last line")
    return 0.5
"""


@pytest.fixture(autouse=True)
def _own_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write_trainer(tmp_path, TRAINER)
    monkeypatch.chdir(tmp_path)
    yield
    end_trainer_process()


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("sqlite")


def test_trial_below_the_median_is_pruned(url: str) -> None:
    rates = {"lr": {"choice": [0.9, 0.8, 0.1]}}
    median = {"median": {"min_trials": 2}}
    run(url, spec("s", ["constant"], space=rates, trials=3, pruner=median, fixed={"epochs": 8}))
    sql = """
        SELECT json_extract(t.configuration, '$.lr'), r.state, r.verdict FROM results AS r
        JOIN hpo_trial AS t ON t.trial_id = r.trial_id ORDER BY 1 DESC
    """
    (best, _, worst) = rows(url, sql)
    assert best[:2] == (0.9, "complete")
    assert worst[:2] == (0.1, "pruned") and "below the median" in worst[2]


def test_reports_of_an_epoch_are_one_epoch_for_the_pruner(url: str) -> None:
    rates = {"lr": {"choice": [0.9, 0.8, 0.1]}}
    asha = {"asha": {"min_epochs": 2, "reduction": 2}}
    run(url, spec("s", ["merging"], space=rates, trials=3, pruner=asha, fixed={"epochs": 4}))
    best = "SELECT trial_id FROM results WHERE state = 'complete' ORDER BY value DESC LIMIT 1"
    curve = rows(url, f"SELECT epoch, train_loss, val_accuracy FROM hpo_epoch WHERE trial_id = ({best})")
    assert curve == [(1, 1.0, 0.9), (2, 0.5, 0.9), (3, 1 / 3, None), (4, 0.25, None)]
    assert rows(url, "SELECT max(epoch) FROM hpo_epoch") == [(4,)]
    assert rows(url, "SELECT max(value) FROM results") == [(0.45,)]  # the returned one


def test_files_of_a_trial_are_deleted_with_its_study(url: str) -> None:
    run(url, spec("s", ["keeping"]))
    (kept,) = settings().artifacts.rglob("curve.txt")
    assert kept.read_text() == "a curve"
    (note,) = rows(url, "SELECT message FROM hpo_finding WHERE check_name = 'artifact curve.txt'")[0]
    assert str(kept) in note
    with ResultsStore(url) as store:
        delete_study(store, find_deletable(store.engine, "s"), force=False)
    assert not kept.exists()


def test_minutes_left_count_all_attempts(url: str) -> None:
    run(url, spec("s", ["timed"], limits={"minutes": 1}, objective="val_accuracy", direction="minimize"))
    values = [row[0] for row in rows(url, "SELECT val_accuracy FROM curves WHERE study = 's' ORDER BY epoch")]
    assert len(values) == 3
    assert max(values) <= 1 - 0.6 / 60
    assert values == sorted(values, reverse=True)


@pytest.mark.slow
def test_lines_and_megabytes_are_kept_in_part(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STORAGE", url)
    monkeypatch.setenv("HPO_ALLOWED_MODELS", "own_trainer")
    settings.cache_clear()
    submit(url, spec("s", ["keeping", "printing"]))
    command = [sys.executable, "-m", "hpo", "worker", "s", "--until-idle", "--slots", "1"]
    subprocess.run(command, check=True, capture_output=True)
    lines, megabytes = (row[0] for row in rows(url, "SELECT output FROM hpo_attempt ORDER BY trial_id"))
    assert lines.splitlines() == ['half way {"share": 0.5}']
    assert megabytes.startswith("first line\n") and megabytes.endswith("last line")
    assert "left out" in megabytes and len(megabytes) < 70_000
