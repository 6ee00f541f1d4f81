"""Workers killed, paused and stopped at every boundary of a trial's life: as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import NullPool, text

from hpo.queue.registered import find_registered
from hpo.recovery import kept
from hpo.recovery.faults import POINTS
from hpo.results.engine import writing
from hpo.results.store import ResultsStore
from hpo.settings import settings
from hpo.spec.study import StudySpec
from hpo.workers.submit import submit

FIXED = {
    "dataset": "synthetic",
    "train_images": 200,
    "batch_size": 25,
    "width": 4,
    "depth": 2,
    "epochs": 2,
    "dropout": 0.2,
    "augmentation": "flip_crop",
    "precision": "fp32",
}
SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
DYING = [point for point in POINTS if not point.startswith("worker.release")]
LATER = [
    *(f"{point}:1" for point in DYING),
    *("trial.epoch:2", "trial.epoch_stored:2"),
    # Each checkpoint writes two files; there is one after each of 16 steps, and at the end of each epoch.
    *(
        f"checkpoint.{boundary}:{count}"
        for boundary in ("write", "fsync", "replace")
        for count in (6, 17, 18, 23)
    ),
    *(f"checkpoint.replaced:{count}" for count in (3, 9, 12)),
]
"""Within the first epoch, at its end, and within the second."""
NEVER_BEGUN = ("worker.claim", "worker.claimed", "trial.begin")


class Zygote:
    """A process that forks workers: loading PyTorch takes longer than these studies."""

    def __init__(self, folder: Path, cache: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
        environment |= {"HPO_CACHE": str(cache), "HPO_DATA": str(cache), "OMP_NUM_THREADS": "1"}
        environment |= {"HPO_ARTIFACTS": str(cache / "artifacts")}
        environment |= {"PYTHONPATH": str(folder), "HPO_CHECKPOINT_SECONDS": "0"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def start(self, url: str, study: str, fault: str | None = None) -> int:
        """A worker's pid."""
        pid: int = self._ask({"url": url, "study": study, "fault": fault})
        return pid

    def wait(self, pid: int) -> str:
        ended: str = self._ask({"wait": pid})
        return ended

    def run(self, url: str, study: str, fault: str | None = None) -> str:
        return self.wait(self.start(url, study, fault))

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Zygote]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "poison.py").write_text(POISON)
    forker = Zygote(folder, cache)
    yield forker
    forker.process.stdin.close()  # type: ignore[union-attr]
    forker.process.wait()
    forker.process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def _same_settings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(cache))
    monkeypatch.setenv("HPO_DATA", str(cache))
    monkeypatch.setenv("HPO_ARTIFACTS", str(cache / "artifacts"))
    settings.cache_clear()


def _submit(url: str, name: str, space: dict[str, Any] | None = None, **fixed: Any) -> None:
    space = space or {"lr": {"choice": [0.02]}}
    (choices,) = (each["choice"] for each in space.values())
    document = {"study": name, "trials": len(choices), "sampler": "grid", "fixed": FIXED | fixed}
    with ResultsStore(url) as store:
        submit(store, StudySpec.model_validate(document | {"space": space}))


def _rows(url: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql), values)]


def _attempts(url: str, slot: int = 0) -> list[str]:
    sql = "SELECT a.outcome FROM hpo_attempt AS a JOIN hpo_trial AS t ON t.trial_id = a.trial_id "
    return [outcome for (outcome,) in _rows(url, f"{sql} WHERE t.slot = {slot} ORDER BY a.attempt")]


def _hashes(url: str) -> list[str]:
    found = _rows(url, "SELECT state, weights_hash FROM results ORDER BY slot")
    assert {state for state, _ in found} == {"complete"}
    return [weights for _, weights in found]


@pytest.fixture(scope="module")
def calm(zygote: Zygote, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[str]]:
    """Weights' hashes of a study of so many trials that nobody disturbs."""
    known: dict[int, list[str]] = {}

    def hashes(trials: int) -> list[str]:
        if trials not in known:
            url = f"sqlite:///{tmp_path_factory.mktemp('calm')}/hpo.db"
            _submit(url, "s", {"lr": {"choice": [0.02, 0.03][:trials]}})
            assert zygote.run(url, "s") == "exit 0"
            known[trials] = _hashes(url)
        return known[trials]

    return hashes


def _expect_one_whole_trial(url: str) -> None:
    assert _rows(url, "SELECT epoch FROM curves ORDER BY epoch") == [(1,), (2,)]
    assert _rows(url, "SELECT state, worker FROM hpo_slot") == [("done", None)]
    parsed = url.replace("postgresql://", "postgresql+psycopg://")
    storage = RDBStorage(parsed, engine_kwargs={"poolclass": NullPool})
    (trial,) = optuna.load_study(study_name="s", storage=storage).trials
    assert (trial.number, trial.state.name, sorted(trial.intermediate_values)) == (0, "COMPLETE", [1, 2])


def _checkpoints(url: str) -> list[Path]:
    with ResultsStore(url) as store:
        study = find_registered(store.engine, "s")
    assert study is not None
    return sorted((settings().checkpoints / study.uid).rglob("*"))


def _expect_its_weights(url: str, token: int) -> None:
    """Those of the attempt that ended the trial, and nothing that another left."""
    uid = _rows(url, "SELECT uid FROM hpo_study")[0][0]
    (entry,) = kept.entries(uid)
    assert (entry.path.name, entry.token) == (f"trial-0-{token}", token)
    assert kept.load(entry.path).document["best_epoch"]["epoch"] in (1, 2)


def _kill_and_go_on(zygote: Zygote, url: str, fault: str, calm: list[str]) -> None:
    _submit(url, "s")
    assert zygote.run(url, "s", fault) == "signal 9"
    assert zygote.run(url, "s") == "exit 0"
    assert _hashes(url) == calm
    _expect_one_whole_trial(url)
    assert _checkpoints(url) == []
    point = fault.split(":")[0]
    once = point in NEVER_BEGUN or point == "trial.finished"
    assert _attempts(url) == (["complete"] if once else ["lost", "complete"])
    _expect_its_weights(url, token=1 if point in ("worker.claim", "trial.finished") else 2)


@SQLITE
@pytest.mark.parametrize("point", DYING)
def test_a_worker_killed_at_a_boundary(zygote: Zygote, storage_url: str, point: str, calm: Any) -> None:
    _kill_and_go_on(zygote, storage_url, f"{point}:1", calm(1))


@pytest.mark.slow
@pytest.mark.parametrize("fault", LATER)
def test_a_worker_killed_at_a_later_pass(zygote: Zygote, storage_url: str, fault: str, calm: Any) -> None:
    _kill_and_go_on(zygote, storage_url, fault, calm(1))


@SQLITE
def test_two_workers_killed_before_they_record_what_is_in_a_checkpoint(
    zygote: Zygote, storage_url: str, calm: Any
) -> None:
    """The second goes on from the checkpoint of an epoch that the first did not record, nor does it."""
    _submit(storage_url, "s")
    assert [zygote.run(storage_url, "s", "trial.epoch:1") for _ in range(2)] == ["signal 9"] * 2
    assert zygote.run(storage_url, "s") == "exit 0"
    assert _hashes(storage_url) == calm(1)
    _expect_one_whole_trial(storage_url)


@SQLITE
def test_a_worker_asked_to_stop_within_an_epoch(zygote: Zygote, storage_url: str, calm: Any) -> None:
    _submit(storage_url, "s")
    assert zygote.run(storage_url, "s", "checkpoint.write:5:TERM") == "exit 143"
    assert _rows(storage_url, "SELECT state, epoch FROM hpo_slot") == [("waiting", 0)]
    newest = json.loads(
        max(_checkpoints(storage_url)[1:], key=lambda p: (p.suffix == ".json", p)).read_text()
    )
    assert newest["trial"]["epoch"] == 1 and newest["trial"]["steps"] >= 2
    assert zygote.run(storage_url, "s", "trial.epoch_stored:1:INT") == "exit 130"
    assert zygote.run(storage_url, "s") == "exit 0"
    assert _hashes(storage_url) == calm(1)
    _expect_one_whole_trial(storage_url)
    assert _attempts(storage_url) == ["released", "released", "complete"]


def test_a_worker_paused_past_its_lease_goes_on_with_the_next_slot(
    zygote: Zygote, storage_url: str, calm: Any
) -> None:
    _submit(storage_url, "s", {"lr": {"choice": [0.02, 0.03]}})
    paused = zygote.start(storage_url, "s", "trial.epoch:1:STOP")
    assert zygote.wait(paused) == "stopped"
    with ResultsStore(storage_url) as store, writing(store.engine) as connection:
        connection.execute(text("UPDATE hpo_slot SET lease_until = 1 WHERE slot = 0"))
    other = zygote.start(storage_url, "s", "worker.claim:2:STOP")
    assert zygote.wait(other) == "stopped"
    os.kill(paused, signal.SIGCONT)
    assert zygote.wait(paused) == "exit 0"
    os.kill(other, signal.SIGCONT)
    assert zygote.wait(other) == "exit 0"
    assert _hashes(storage_url) == calm(2)
    assert (_attempts(storage_url, 0), _attempts(storage_url, 1)) == (["lost", "complete"], ["complete"])
    pids = _rows(storage_url, "SELECT pid FROM hpo_attempt ORDER BY started_at")
    assert pids == [(paused,), (other,), (paused,)]


POISON = """
import os, signal
from torch import nn


class Net(nn.Module):
    def __init__(self, poisonous):
        super().__init__()
        self.poisonous = poisonous
        self.dense = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images):
        if self.training and self.poisonous:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.dense(images.flatten(1))


def build(options, *, in_shape, classes):
    return Net(options.width == 4)
"""


@SQLITE
def test_a_trial_that_kills_its_workers_is_given_up(
    zygote: Zygote, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _submit(storage_url, "s", {"width": {"choice": [4, 5]}}, model="poison:build", lr=0.001)
    assert [zygote.run(storage_url, "s") for _ in range(3)] == ["signal 9"] * 3
    assert zygote.run(storage_url, "s") == "exit 0"
    (first, second) = _rows(storage_url, "SELECT state, verdict FROM results ORDER BY slot")
    assert first == ("failed", "given up: 3 workers in a row died or hung in epoch 1 of this trial")
    assert second[0] == "complete"
    assert _attempts(storage_url) == ["lost", "lost", "lost", "failed"]
