"""What `hpo db prune` takes away, and what it leaves."""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.storages import RDBStorage
from sqlalchemy import NullPool, text

from hpo.artifacts.store import save
from hpo.cli.app import run_command
from hpo.data.cache import Decoded, DecodedSplit, Source, cached, preprocessed_images
from hpo.data.preprocess import principal_components
from hpo.maintenance.prune import FILE_KINDS, find_files
from hpo.settings import settings
from hpo.storage.store import ResultsStore
from hpo.training import precision
from tests.helpers.one_of_everything import fill

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an idle and a fresh thing of each kind, and temporary folders beside it."""
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HPO_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    settings.cache_clear()
    for name in (
        "cache/datasets/{}-1/meta.json",
        "cache/components/{}.npz",
        "cache/preprocessed/{}/images.npy",
        "cache/precision-{}.json",
        "cache/checkpoints/{}/main-0/000001-0000000010-00000001.json",
        "artifacts/uid/.trial-{}.abc.tmp",
        "cache/components/.{}.npz.abc.tmp",
        "cache/preprocessed/killed/.images.npy.{}.tmp",
        "data/.cifar-{}.abc.tmp",
        "tmp/hpo-run-{}/worker-1.log",
    ):
        for age, days in (("idle", 40), ("fresh", 0)):
            path = tmp_path / name.format(age)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 1000)
            _age(path, days)
            if "hpo-run" in name or "checkpoints" in name:
                _age(path.parent, days)
    (tmp_path / "cache" / "datasets" / "idle-1" / "train_images.npy").write_bytes(b"x" * 5000)
    return tmp_path


def _age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _prune(capsys: Capture, *options: str) -> str:
    capsys.readouterr()
    assert run_command(["db", "prune", *options]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_without_delete_it_only_lists(cache: Path, capsys: Capture) -> None:
    before = _files(cache)
    said = _prune(capsys, "--storage", f"sqlite:///{cache / 'none.db'}")
    assert _files(cache) == before
    assert "decoded images idle-1" in said and "6,000 bytes, idle for 40 days" in said
    assert "fresh" not in said
    assert said.splitlines()[-1] == "removed nothing: `hpo db prune --delete` frees 15,000 bytes"


def test_delete_removes_what_is_idle_and_nothing_else(cache: Path, capsys: Capture) -> None:
    before = _files(cache)
    said = _prune(capsys, "--delete", "--storage", f"sqlite:///{cache / 'none.db'}")
    assert said.splitlines()[-1] == "removed; freed 15,000 bytes on disk"
    assert _files(cache) == {name for name in before if "idle" not in name}
    assert _prune(capsys, "--storage", f"sqlite:///{cache / 'none.db'}") == "nothing to remove\n"
    assert not (cache / "none.db").exists()


def test_the_limit_is_in_days(cache: Path, capsys: Capture) -> None:
    found = json.loads(
        _prune(capsys, "--json", "--days", "41", "--storage", f"sqlite:///{cache / 'none.db'}")
    )
    # A killed writer's leftovers are of no use to anybody, however old they must be else.
    assert {each["kind"] for each in found["found"]} == {"leftovers"}
    assert {each.kind for each in find_files(0)} == FILE_KINDS.keys()


def test_rows_of_a_deleted_study_go(cache: Path, capsys: Capture) -> None:
    url = f"sqlite:///{cache / 'hpo.db'}"
    with ResultsStore(url) as store:
        fill(store)
    storage = RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    optuna.delete_study(study_name="everything", storage=storage)
    assert "orphans  Optuna no longer has study everything" in _prune(capsys, "--storage", url)
    _prune(capsys, "--delete", "--storage", url)
    with ResultsStore(url) as store, closing(store.engine.raw_connection()) as connection:
        counts = [
            connection.cursor().execute(f"SELECT count(*) FROM hpo_{table}").fetchone()[0]
            for table in ("study", "trial", "slot", "epoch", "statistics")
        ]
    assert counts == [0] * 5


def test_statistics_that_no_trial_refers_to_go(cache: Path, capsys: Capture) -> None:
    url = f"sqlite:///{cache / 'hpo.db'}"
    with ResultsStore(url) as store:
        fill(store)
        with store.engine.begin() as connection:
            connection.execute(text("INSERT INTO hpo_statistics VALUES (1, 'abcdef', 'xyz')"))
    assert "statistics  preprocessing statistics abcdef of study everything" in _prune(
        capsys, "--storage", url
    )
    _prune(capsys, "--delete", "--storage", url)
    with ResultsStore(url) as store, store.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM hpo_statistics")) == 2


@pytest.mark.slow
def test_what_is_used_is_marked_so_that_it_stays(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set, components, preprocessed images and a measurement, each read again after 40 days."""
    folder = cache / "cache"
    images = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = np.zeros(2, np.int64)
    pixels = np.zeros((2, 3, 32, 32), np.uint8)
    source = Source(
        "used",
        ("a",),
        4,
        "here",
        "0" * 64,
        lambda: Decoded(DecodedSplit(labels, [pixels]), DecodedSplit(labels, [pixels])),
    )
    monkeypatch.setattr(precision, "_measure", lambda device: {"fp32": 100.0, "bf16": 150.0})

    def use() -> None:
        cached(source, folder)
        principal_components(images, folder)
        preprocessed_images("used", (2, 3), lambda: [np.zeros((2, 3), np.float16)], folder)
        precision.measurement(torch.device("cpu"))

    before = _files(folder)
    use()
    made = [folder / name for name in _files(folder) - before if not Path(name).name.startswith(".")]
    for path in made:
        _age(path, 40)
    use()
    assert {each.path for each in find_files(30)}.isdisjoint({*made, *(path.parent for path in made)})
    # Made and never used again, they would go.
    for path in made:
        _age(path, 40)
    assert len({each.path for each in find_files(30)} & {*made, *(path.parent for path in made)}) == 4


def _keep(study: str, uid: str, database: str, number: int) -> Path:
    whose = {"study": study, "study_uid": uid, "database": database}
    return save(uid, number, 1, {"w": torch.zeros(3)}, {"trial": number}, whose)


def test_weights_of_a_deleted_study_go_and_those_of_another_database_stay(
    cache: Path, capsys: Capture
) -> None:
    url = f"sqlite:///{cache / 'hpo.db'}"
    with ResultsStore(url) as store:
        fill(store)
        with store.engine.connect() as connection:
            uid = connection.execute(text("SELECT uid FROM hpo_study")).scalar_one()
    theirs = _keep("everything", "elsewhere", "/another.db", 0)
    ours = _keep("everything", uid, str(cache / "hpo.db"), 0)
    storage = RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    optuna.delete_study(study_name="everything", storage=storage)
    said = _prune(capsys, "--delete", "--storage", url)
    assert f"weights  weights of the deleted study everything  {ours.parent}" in said
    assert not ours.parent.exists() and theirs.exists()


def test_weights_that_are_not_of_the_best_trials_go(cache: Path, capsys: Capture) -> None:
    """A killed worker left them: those of a pruned trial. One is running and may yet need its own."""
    url = f"sqlite:///{cache / 'hpo.db'}"
    with ResultsStore(url) as store:
        fill(store)
        with store.engine.connect() as connection:
            uid = connection.execute(text("SELECT uid FROM hpo_study")).scalar_one()
    folders = {number: _keep("everything", uid, str(cache / "hpo.db"), number) for number in (0, 1, 2, 4)}
    said = _prune(capsys, "--storage", url)
    assert "weights of trial 2 of everything, which is not one of its best 5" in said
    _prune(capsys, "--delete", "--storage", url)
    assert [number for number, folder in folders.items() if folder.exists()] == [0, 1, 4]
