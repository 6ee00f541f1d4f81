"""Workers as real processes on tiny studies, forked from one that has everything loaded."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import NullPool, text

from hpo.config.study import StudySpec
from hpo.settings import settings
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.training.checkpoint_files import slot_folder
from hpo.workers.submit import submit_study
from tests.helpers import forked
from tests.helpers.waiting import wait_until

FIXED = {
    "dataset": "synthetic",
    "train_images": 200,
    "val_fraction": 0.01,
    "batch_size": 25,
    "width": 4,
    "depth": 2,
    "epochs": 2,
    "dropout": 0.2,
    "augmentation": "flip_crop",
    "precision": "fp32",
}


LONG: dict[str, Any] = {"epochs": 50}
"""Long enough for something to happen meanwhile."""


class KillableWorkers:
    """Starts workers that see the modules of ``folder`` and share ``cache``."""

    def __init__(self, folder: Path, cache: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
        environment |= {"HPO_CACHE": str(cache), "HPO_DATA": str(cache), "OMP_NUM_THREADS": "1"}
        environment |= {"HPO_ARTIFACTS": str(cache / "artifacts")}
        self._environment = environment | {"PYTHONPATH": str(folder), "HPO_CHECKPOINT_SECONDS": "0"}

    def start(
        self,
        url: str,
        study: str,
        fault: str | None = None,
        *,
        dies_after: float | None = None,
        clock_ahead: float = 0.0,
        **environment: str,
    ) -> int:
        """Start a worker; return its pid. It is killed, wherever it is, after ``dies_after`` s of CPU time.

        Its clock is ``clock_ahead`` seconds ahead of this machine's.
        """
        order: dict[str, Any] = {"url": url, "study": study, "fault": fault}
        order |= {"dies_after": dies_after, "clock_ahead": clock_ahead}
        program = ["-m", "tests.helpers.killable_worker", json.dumps(order)]
        return forked.start(program, self._environment | environment)

    @staticmethod
    def wait(pid: int) -> str:
        """Return how the worker ended, or that it was stopped."""
        statuses: list[int] = []

        def has_ended() -> bool:
            found, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
            statuses.extend([status] if found else [])
            return bool(found)

        wait_until(has_ended, f"the end of worker {pid}", seconds=240)
        (status,) = statuses
        if os.WIFSTOPPED(status):
            return "stopped"
        return f"exit {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"

    @staticmethod
    def wake(pid: int) -> None:
        """Let a worker that was stopped continue."""
        os.kill(pid, signal.SIGCONT)

    def run(self, url: str, study: str, fault: str | None = None) -> str:
        return self.wait(self.start(url, study, fault))


def submit(
    url: str,
    name: str,
    trials: int = 1,
    space: dict[str, Any] | None = None,
    max_deaths: int = 3,
    pruner: Any = "none",
    **fixed: Any,
) -> Training:
    """A study of so many learning rates, or of the values of ``space``."""
    space = space or {"lr": {"choice": [round(0.02 + 0.01 * trial, 2) for trial in range(trials)]}}
    document = {"study": name, "trials": trials, "sampler": "grid", "fixed": FIXED | fixed}
    document |= {"max_deaths": max_deaths, "pruner": pruner}
    with ResultsStore(url) as store:
        submit_study(store, StudySpec.model_validate(document | {"space": space}))
        study = find_registered(store.engine, name)
    assert study is not None
    return Training(url, study.uid)


def rows(url: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql), values)]


def attempts(url: str, slot: int = 0) -> list[str]:
    sql = "SELECT a.outcome FROM hpo_attempt AS a JOIN hpo_trial AS t ON t.trial_id = a.trial_id "
    return [outcome for (outcome,) in rows(url, f"{sql} WHERE t.slot = {slot} ORDER BY a.attempt")]


def hashes(url: str) -> list[str]:
    found = rows(url, "SELECT state, weights_hash FROM results ORDER BY slot")
    assert {state for state, _ in found} == {"complete"}
    return [weights for _, weights in found]


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """What is left of study `s`, without times and whoever trained it."""
    return {name: rows(url, sql) for name, sql in _EVERYTHING.items()}


_EVERYTHING = {
    "trials": """
        SELECT number, slot, state, value, verdict, best_epoch, weights_hash FROM results ORDER BY slot
    """,
    "curves": """
        SELECT number, epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr
        FROM curves ORDER BY number, epoch
    """,
    "findings": """
        SELECT t.slot, f.check_name, f.severity, f.step, f.epoch, f.layer, f.value, f.message
        FROM hpo_finding AS f JOIN hpo_trial AS t ON t.trial_id = f.trial_id
        ORDER BY t.slot, f.step, f.check_name, f.layer
    """,
    "layers": """
        SELECT t.slot, l.step, l.position, l.epoch, l.activation_mean, l.gradient_norm, l.update_ratio
        FROM hpo_layer AS l JOIN hpo_trial AS t ON t.trial_id = l.trial_id
        ORDER BY t.slot, l.step, l.position
    """,
}


@dataclass(frozen=True)
class Training:
    """A submitted study, whose checkpoints say how far it is while its database is away."""

    url: str
    uid: str

    def wait_for(self, slot: int, epoch: int) -> None:
        """Return once the slot's training is in that epoch."""
        wait_until(lambda: self._epoch(slot) >= epoch, f"epoch {epoch} of slot {slot}", seconds=240)

    def _epoch(self, slot: int) -> int:
        folder = slot_folder(settings().checkpoints, self.uid, "main", slot)
        documents = sorted(folder.glob("[0-9]*.json"))
        with suppress(FileNotFoundError):  # it may be replaced right now
            if documents:
                epoch: int = json.loads(documents[-1].read_bytes())["trial"]["epoch"]
                return epoch
        return 0


def expect_one_whole_trial(url: str) -> None:
    assert rows(url, "SELECT epoch FROM curves ORDER BY epoch") == [(1,), (2,)]
    assert rows(url, "SELECT state, worker FROM hpo_slot") == [("done", None)]
    parsed = url.replace("postgresql://", "postgresql+psycopg://")
    storage = RDBStorage(parsed, engine_kwargs={"poolclass": NullPool})
    (trial,) = optuna.load_study(study_name="s", storage=storage).trials
    assert (trial.number, trial.state.name, sorted(trial.intermediate_values)) == (0, "COMPLETE", [1, 2])


def checkpoints(url: str) -> list[Path]:
    with ResultsStore(url) as store:
        study = find_registered(store.engine, "s")
    assert study is not None
    return sorted((settings().checkpoints / study.uid).rglob("*"))
