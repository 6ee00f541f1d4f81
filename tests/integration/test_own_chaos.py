"""Workers, trainer processes and services killed at random instants: as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.config.study import StudySpec
from hpo.settings import settings
from hpo.trainer.process import end_trainer_process
from tests.helpers.own_training import rows, run, submit, work

KILLS = 12
FUNCTION = """
import time
import numpy as np


def run(trial):
    state = {"weight": np.zeros(3)}
    trial.keep(state=state)
    for epoch in trial.epochs():
        for step in trial.steps(range(5), resumable=True):
            state["weight"] = state["weight"] * 0.9 + trial["lr"] * np.random.randn(3)
            time.sleep(0.02)
        trial.report(val_accuracy=float(abs(np.tanh(state["weight"].sum()))), depth=state["weight"][0])
"""
COMMAND = """
import json, os, random, sys, time
from pathlib import Path

lr, saved = float(os.environ["HPO_PARAM_LR"]), Path(os.environ["HPO_TRIAL_FOLDER"], "saved.json")
done, weight = json.loads(saved.read_text()) if saved.exists() else (0, 0.0)
for epoch in range(done + 1, int(os.environ["HPO_TRIAL_BUDGET"]) + 1):
    chance = random.Random(f"{os.environ['HPO_TRIAL_SEED']} {epoch}")
    for step in range(5):
        weight = 0.9 * weight + lr * chance.gauss(0, 1)
        time.sleep(0.02)
    print(json.dumps({"hpo": {"epoch": epoch, "val_accuracy": abs(weight), "weight": weight}}), flush=True)
    saved.with_suffix(".new").write_text(json.dumps([epoch, weight]))
    saved.with_suffix(".new").replace(saved)
"""
KINDS: dict[str, dict[str, Any]] = {
    "function": {"trainer": "chaos_function:run"},
    "command": {"command": [sys.executable, "chaos_command.py"]},
}
CURVES = """
    SELECT r.slot, c.epoch, c.val_accuracy, c.metrics FROM curves AS c
    JOIN results AS r ON r.trial_id = c.trial_id WHERE r.study = :study ORDER BY 1, 2
"""
RESULTS = """
    SELECT slot, state, value, best_epoch, weights_hash FROM results
    WHERE study = :study ORDER BY slot
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_processes_killed_at_random_instants(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chaos_function.py").write_text(FUNCTION)
    (tmp_path / "chaos_command.py").write_text(COMMAND)
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/own.db"
    monkeypatch.setenv("HPO_STORAGE", url)
    monkeypatch.setenv("HPO_CHECKPOINT_SECONDS", "0.1")
    monkeypatch.setenv("HPO_LEASE_SECONDS", "5")
    monkeypatch.setenv("HPO_ALLOWED_MODELS", "*")
    settings.cache_clear()
    run(url, study("calm", kind))
    end_trainer_process()
    submit(url, study("shaken", kind))
    kill_at_random(random.Random(0))
    work(url, "shaken")  # what is left, if the service has given up
    end_trainer_process()
    for sql in (CURVES, RESULTS):
        assert rows(url, sql, study="calm") == rows(url, sql, study="shaken")
    assert {row[1] for row in rows(url, RESULTS, study="shaken")} == {"complete"}
    assert rows(url, "SELECT count(*) FROM attempts WHERE study = 'shaken'")[0][0] > 6


def study(name: str, kind: str) -> StudySpec:
    document: dict[str, Any] = {"study": name, "trials": 6, "max_deaths": 100, "sampler": "grid"}
    document |= {"space": {"lr": {"choice": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}}, "fixed": {"epochs": 5}}
    return StudySpec.model_validate(document | KINDS[kind])


def kill_at_random(chance: random.Random) -> None:
    """Serve the study until it is done; kill a process of the service again and again."""
    command = [sys.executable, "-m", "hpo", "worker", "shaken", "--until-idle", "--slots", "2"]
    kills, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **quiet) as service:  # type: ignore[call-overload]
            while service.poll() is None:
                time.sleep(chance.uniform(0.05, 0.4))
                kills += kills < KILLS and kill_one(service.pid, chance)
        code = service.returncode


def kill_one(service: int, chance: random.Random) -> bool:
    """Kill a worker, a process that trains or, rarely, the service; return whether there was one."""
    with suppress(psutil.Error):
        workers = psutil.Process(service).children()
        training = [each for worker in workers for each in worker.children()]
        if not training:
            return False
        chance.choice([*workers, *training, *training, psutil.Process(service)]).kill()
        return True
    return False
