"""`hpo run --ray` on a real Ray cluster of two nodes, one of which is killed in mid-study."""

from __future__ import annotations

import json
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from tests import helpers
from tests.helpers.hpo_command import Hpo

pytestmark = pytest.mark.slow
pytest.importorskip("ray")

STUDY = """\
study: tiny
trials: 4
checks: off
fixed:
  {dataset: synthetic, train_images: 1000, epochs: 10, batch_size: 50, model: ray_nets:build, precision: fp32}
space:
  lr: {log: [1.0e-4, 1.0e-3]}
"""
SECRET = "c0rrect-horse"
NETS = """
import time
from torch import nn


def build(options, *, in_shape, classes):
    print("built from", __file__, flush=True)
    return Net(classes)


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, classes)

    def forward(self, images):
        if self.training:
            time.sleep(0.02)
        return self.dense(images.flatten(1))
"""


@dataclass
class Nodes:
    """Two nodes of one CPU each."""

    address: str
    raylets: list[int]
    folder: Path
    process: subprocess.Popen[str]

    def kill_second(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()

    def node_of(self, worker: str) -> int:
        """0 or 1, by the raylet that started the worker's process."""
        return self.raylets.index(psutil.Process(int(worker.split(":")[1])).ppid())

    def logs(self) -> str:
        """All that Ray has written."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in files)


@pytest.fixture(scope="module")
def ray_folder() -> Iterator[Path]:
    """A short path: Ray puts sockets there, whose paths must not be longer than 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _nodes(hpo: Hpo, folder: Path) -> Iterator[Nodes]:
    # The settings of workers come with the run, not from the environment of the nodes.
    environment = {name: value for name, value in hpo.environment.items() if not name.startswith("HPO_")}
    environment |= {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, Path(helpers.__file__).with_name("ray_nodes.py")],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Nodes(**json.loads(process.stdout.readline()), folder=folder, process=process)
    finally:
        process.communicate(timeout=60)


@pytest.fixture
def secretive(hpo: Hpo) -> Hpo:
    """The command with a password in its storage; the test's server trusts anyone."""
    url = make_url(hpo.environment["HPO_STORAGE"]).set(password=SECRET)
    storage = {"HPO_STORAGE": url.render_as_string(hide_password=False)}
    return replace(hpo, environment=hpo.environment | storage)


@pytest.mark.parametrize("storage_url", ["postgresql"], indirect=True)
def test_ray_run_survives_a_dead_node_and_resumes_after_ctrl_c(
    secretive: Hpo, ray_folder: Path, tmp_path: Path
) -> None:
    hpo = secretive
    hpo.environment["HPO_LEASE_SECONDS"] = "5"
    library = tmp_path / "library"
    library.mkdir()
    (library / "ray_nets.py").write_text(NETS)
    hpo.environment["PYTHONPATH"] = str(library)
    (hpo.folder / "tiny.yaml").write_text(STUDY)
    with _nodes(hpo, ray_folder) as nodes:
        command = ("run", "tiny.yaml", "--ray", nodes.address, "--json")
        running = hpo.start(*command)
        assert running.wait_for("cluster_joined")["workers"] == 2
        lost = running.wait_for("epoch_done", lambda event: nodes.node_of(event["worker"]) == 1)
        nodes.kill_second()
        death = running.wait_for("worker_lost")
        assert death["worker"] == lost["worker"]
        running.wait_for("trial_ended")
        # The remaining worker saves and releases its trial.
        running.wait_for("epoch_done")
        running.process.send_signal(signal.SIGINT)
        summary = running.wait_for("summary")
        code, errors = running.end()
        assert (code, summary["exit_code"]) == (130, 130), errors
        assert "Traceback" not in errors and "raylet" not in errors
        status = json.loads(hpo("status", "tiny", "--json").stdout)
        assert status["workers"] == []
        assert {each["outcome"] for each in status["interrupted"]} <= {"released", "lost"}
        assert "released" in {each["outcome"] for each in status["interrupted"]}

        ended = hpo(*command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert SECRET not in ended.stdout + ended.stderr + nodes.logs()
        assert not any(
            SECRET in " ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])
        )
    _each_ended_once(hpo, lost["number"])


def _each_ended_once(hpo: Hpo, lost: int) -> None:
    trials = hpo.rows("SELECT number, state FROM results ORDER BY number")
    assert [each["number"] for each in trials] == [0, 1, 2, 3]
    assert {each["state"] for each in trials} <= {"complete", "pruned", "failed"}
    curves = hpo.rows("SELECT number, count(*) AS epochs, max(epoch) AS last FROM curves GROUP BY number")
    assert curves and all(each["epochs"] == each["last"] for each in curves)  # none missing, none twice
    outcomes: dict[int, list[str]] = {}
    for row in hpo.rows("SELECT number, outcome FROM attempts ORDER BY number, attempt"):
        outcomes.setdefault(row["number"], []).append(row["outcome"])
    assert "lost" in outcomes[lost]
    for each in outcomes.values():
        assert set(each[:-1]) <= {"lost", "released"} and each[-1] not in {"lost", "released"}
    checked = hpo("db", "check")
    assert checked.returncode == 0, checked.stdout


OWN_STUDY = """\
study: own
trainer: ray_training:run
trials: 3
fixed: {epochs: 3}
space:
  lr: {log: [0.1, 1.0]}
"""
OWN_TRAINING = """
def run(trial):
    state = trial.keep({"error": 1.0})
    print("trained from", __file__, flush=True)
    for epoch in trial.epochs():
        state["error"] *= 1 - trial["lr"] / 2
        trial.report(val_accuracy=1 - state["error"])
"""


@pytest.mark.parametrize("storage_url", ["postgresql"], indirect=True)
def test_your_own_training_runs_on_ray(hpo: Hpo, ray_folder: Path) -> None:
    (hpo.folder / "own.yaml").write_text(OWN_STUDY)
    (hpo.folder / "ray_training.py").write_text(OWN_TRAINING)
    with _nodes(hpo, ray_folder) as nodes:
        done = hpo("run", "own.yaml", "--ray", nodes.address)
        assert done.returncode == 0, done.stdout + done.stderr
    found = hpo.rows("SELECT number, state, value, configuration FROM results ORDER BY number")
    assert [row["state"] for row in found] == ["complete"] * 3
    for row in found:
        lr = json.loads(row["configuration"])["lr"]
        assert row["value"] == pytest.approx(1 - (1 - lr / 2) ** 3)
    assert "trained from " in hpo("logs", "own", "0").stdout


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_python_run_starts_its_own_ray(hpo: Hpo, ray_folder: Path) -> None:
    study = hpo.write_study(trials=2, epochs=1)
    program = f"""
import hpo, ray
study = hpo.run({study!r}, ray=hpo.RayWorkers("local", max_workers=1))
print(study, study.summary.exit_code, ray.is_initialized(), list(study.attempts().host.unique()))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=hpo.folder,
        env=hpo.environment | {"RAY_TMPDIR": str(ray_folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    host = platform.node()
    assert done.stdout == f"<hpo.Study tiny: 2 of 2 trials are over> 0 False ['{host}']\n", done.stderr
    assert "raylet" not in done.stderr and "Traceback" not in done.stderr
