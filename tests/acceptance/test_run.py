"""A study from its file to its results, in real processes, also when they are killed."""

from __future__ import annotations

import json
import signal

import optuna
import pytest
from optuna.storages import RDBStorage

from tests.helpers.hpo_command import Hpo

ONE = ("--workers", "1")
"""Where a test does not need two: each loads PyTorch."""
FEW = 300
"""Images to train on where no test waits for an event within an epoch."""


def _expect_all_done(hpo: Hpo, trials: int, epochs: int) -> None:
    """Each slot has one trial that ended, with a curve without holes, and Optuna knows them all."""
    rows = hpo.rows("select number, state, value, verdict from results order by number")
    assert [row["number"] for row in rows] == list(range(trials))
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert all(row["verdict"] for row in rows)
    curves = hpo.rows("select number, count(*) as n, max(epoch) as last from curves group by number")
    assert curves and all(row["n"] == row["last"] for row in curves)
    complete = {row["number"] for row in rows if row["state"] == "complete"}
    assert {row["number"] for row in curves if row["n"] == epochs} >= complete
    storage = RDBStorage(hpo.environment["HPO_STORAGE"])
    found = optuna.load_study(study_name="tiny", storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    assert len(found) == trials
    assert all(trial.state.is_finished() for trial in found)


def test_run_trains_a_study_once_and_adds_trials_to_it(hpo: Hpo) -> None:
    study = hpo.write_study(trials=2, images=FEW)
    first = hpo("run", study, *ONE, fresh=True)
    assert first.returncode == 0, first.stderr
    _expect_all_done(hpo, trials=2, epochs=2)
    again = hpo("run", study, *ONE)
    assert again.returncode == 0, again.stderr
    assert hpo.rows("select count(*) as n from attempts") == [{"n": 2}]
    before = hpo.rows("select number, lr, weights_hash from results order by number")
    more = hpo("run", study, "--trials", "4", *ONE)
    assert more.returncode == 0, more.stderr
    _expect_all_done(hpo, trials=4, epochs=2)
    assert hpo.rows("select count(*) as n from attempts") == [{"n": 4}]
    assert hpo.rows("select number, lr, weights_hash from results order by number")[:2] == before


@pytest.mark.slow
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_run_stores_and_prints_findings_on_the_study(hpo: Hpo) -> None:
    study = hpo.write_study(trials=10, epochs=1)
    changes = ("--set", "lr=1e-9", "--set", "train_images=100")  # nothing is learned
    done = hpo("run", study, *ONE, *changes)
    assert done.returncode == 0, done.stderr
    stored = hpo.rows("select check_name, message, trials_seen from study_findings order by position")
    assert "cost" in {row["check_name"] for row in stored}
    assert {row["trials_seen"] for row in stored} == {10}
    shown = json.loads(hpo("status", "tiny", "--json").stdout)["study_findings"]
    assert [row["message"] for row in stored] == [finding["message"] for finding in shown]
    assert all(row["message"] in done.stdout for row in stored)


def test_killed_run_is_resumed_to_the_same_weights(hpo: Hpo) -> None:
    study = hpo.write_study(trials=3, epochs=2, images=FEW)
    running = hpo.start("run", study, "--json", *ONE)
    running.wait_for("trial_ended")
    running.wait_for("epoch_done")
    running.kill_all()
    resumed = hpo("run", study, *ONE)
    assert resumed.returncode == 0, resumed.stderr
    _expect_all_done(hpo, trials=3, epochs=2)
    killed = hpo.rows("select slot, lr, value, weights_hash from results order by slot")
    # The same threads: with another number of them sums come out in another order.
    calm = hpo("run", study, "--set", "study=calm", *ONE)
    assert calm.returncode == 0, calm.stderr
    same = "select slot, lr, value, weights_hash from results where study = 'calm' order by slot"
    assert hpo.rows(same) == killed


def test_run_releases_its_slots_after_ctrl_c(hpo: Hpo) -> None:
    study = hpo.write_study(trials=3, epochs=2, images=FEW)
    running = hpo.start("run", study, "--workers", "2", "--json")
    running.wait_for("epoch_done")
    running.process.send_signal(signal.SIGINT)
    code, errors = running.end()
    assert code == 130, errors
    assert "Traceback" not in errors
    assert hpo.rows("select count(*) as n from hpo_slot where state = 'running'") == [{"n": 0}]
    resumed = hpo("run", study, *ONE)
    assert resumed.returncode == 0, resumed.stderr
    _expect_all_done(hpo, trials=3, epochs=2)


@pytest.mark.slow
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_run_saves_its_trial_within_an_epoch_after_sigterm(hpo: Hpo) -> None:
    hpo.environment["HPO_CHECKPOINTS"] = str(hpo.folder / "checkpoints")
    study = hpo.write_study(trials=1, epochs=500)
    options = ("--workers", "1", "--set", "train_images=9000", "--set", "lr=0.01", "--set", "checks=off")
    running = hpo.start("run", study, "--json", *options)
    running.wait_for("epoch_done")
    running.process.send_signal(signal.SIGTERM)
    code, errors = running.end()
    assert code == 143, errors
    assert hpo.rows("SELECT state, lease_until FROM hpo_slot") == [{"state": "waiting", "lease_until": None}]
    assert hpo.rows("SELECT outcome FROM attempts") == [{"outcome": "released"}]
    newest = max((hpo.folder / "checkpoints").rglob("*.json"), key=lambda path: int(path.stem.split("-")[1]))
    saved = json.loads(newest.read_text())["trial"]
    assert saved["epoch"] >= 2
    again = hpo.start("run", study, "--json", *options)
    assert again.wait_for("epoch_done")["epoch"] == saved["epoch"]
    again.kill_all()


def test_run_replaces_a_killed_worker(hpo: Hpo) -> None:
    study = hpo.write_study(trials=2, epochs=3, images=FEW)
    running = hpo.start("run", study, "--json", *ONE)
    running.wait_for("epoch_done")
    worker = running.wait_for("epoch_done")["worker"]
    pid = int(worker.split(":")[1])
    next(process for process in running.family() if process.pid == pid).send_signal(signal.SIGKILL)
    code, errors = running.end()
    assert code == 0, errors
    _expect_all_done(hpo, trials=2, epochs=3)


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_worker_stops_when_its_parent_is_killed(hpo: Hpo) -> None:
    running = hpo.start("run", hpo.write_study(trials=1, epochs=50), "--json", *ONE)
    running.wait_for("epoch_done")
    *workers, parent = running.family()
    parent.send_signal(signal.SIGKILL)
    assert workers
    for worker in workers:
        worker.wait(timeout=30)
    running.process.communicate(timeout=30)


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_run_refuses_an_own_model_that_does_not_fit_before_training(hpo: Hpo) -> None:
    (hpo.folder / "nets.py").write_text(
        "from torch import nn\n\n\n"
        "def build(options, *, in_shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, classes + 1))\n"
    )
    done = hpo("run", hpo.write_study(trials=1), "--set", "model=nets:build")
    assert done.returncode == 2
    assert "nets:build" in done.stderr and "(2, 11)" in done.stderr and "(2, 10)" in done.stderr
    assert "Traceback" not in done.stderr
    assert hpo.rows("select * from results") == []


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_run_trains_an_own_model(hpo: Hpo) -> None:
    (hpo.folder / "nets.py").write_text(
        "from torch import nn\n\n\n"
        "def build(options, *, in_shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, classes))\n"
    )
    changes = ("--set", "model=nets:build", "--set", "lr=0.001", "--set", "epochs=1")
    done = hpo("run", hpo.write_study(trials=1), *changes)
    assert done.returncode == 0, done.stderr
    assert hpo.rows("select state, parameters from results") == [{"state": "complete", "parameters": 30730}]
