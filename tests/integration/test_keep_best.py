"""The weights of a study's best trials, kept as it goes: the right ones, also after interruptions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import text

from hpo.artifacts import store as kept
from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.data.split import split_key
from hpo.rng import Key
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.stages.store import main_stage
from hpo.storage.store import ResultsStore
from hpo.training.evaluate import evaluate
from hpo.training.model_factory import build_model
from hpo.training.setup import prepare
from hpo.training.study_images import load_study_images
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

FIXED = {
    "dataset": "synthetic",
    "train_images": 150,
    "width": 4,
    "depth": 2,
    "epochs": 3,
    "batch_size": 25,
    "precision": "fp32",
}
SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_ARTIFACTS", str(tmp_path / "artifacts"))
    settings.cache_clear()


def spec(name: str, keep_best: int, trials: int = 5) -> StudySpec:
    space = {"lr": {"choice": [0.0005, 0.05, 0.005, 1e6, 0.02]}}
    document = {"study": name, "trials": trials, "sampler": "grid", "fixed": FIXED, "space": space}
    return StudySpec.model_validate(document | {"keep_best": keep_best, "checks": "off"})


def work(url: str, study: StudySpec, check_stop: Callable[[], None] = lambda: None) -> None:
    with ResultsStore(url) as store:
        submit_study(store, study)
    serve(WorkOrder(url, (study.study,), "cpu", 2), lambda event: None, check_stop, lambda ready: None)


def ranking(url: str) -> list[int]:
    sql = "SELECT number FROM results WHERE state = 'complete' ORDER BY value DESC, number"
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return list(connection.scalars(text(sql)))


def kept_trials() -> dict[str, list[int]]:
    return {
        str(whose["study"]): sorted(each.number for each in kept.trial_folders(folder.name))
        for folder, whose in kept.studies()
    }


def test_the_best_are_kept_and_no_others(storage_url: str) -> None:
    work(storage_url, spec("s", keep_best=2))
    order = ranking(storage_url)
    assert len(order) >= 4
    assert kept_trials() == {"s": sorted(order[:2])}
    # One that joins them later takes the place of another.
    work(storage_url, spec("s", keep_best=1))
    assert kept_trials() == {"s": order[:1]}


@SQLITE
def test_kept_weights_are_those_of_the_best_epoch(storage_url: str) -> None:
    """Loaded into a new network they give the validation accuracy that the trial was judged by."""
    study = spec("s", keep_best=5, trials=3)
    work(storage_url, study)
    ((folder, _),) = kept.studies()
    numbers = ranking(storage_url)
    assert len(numbers) == 3
    for number in numbers:
        place = kept.find(folder.name, number)
        assert place is not None
        found = kept.load(place)
        lr = found.document["configuration"]["lr"]
        configuration = Configuration.model_validate(FIXED | {"lr": lr})
        images = load_study_images(study, "synthetic", STANDARD)
        setup = prepare(
            configuration,
            images,
            main_stage(study).key(found.document["slot"]),
            split_key(Key(0)),
            torch.device("cpu"),
        )
        model = build_model(
            configuration, classes=10, in_shape=STANDARD.shape, key=Key(99), sample=setup.probe_batch()[0]
        )
        model.load_state_dict(found.weights)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        said = evaluate(model, setup.data.val, "fp32")
        assert said.accuracy == pytest.approx(found.document["value"], abs=1e-6)
        assert said.loss == pytest.approx(found.document["best_epoch"]["val_loss"], rel=1e-4)
        assert found.document["classes"] == list(images.classes)
        assert found.document["dataset_fingerprint"] == images.fingerprint


@pytest.mark.slow
@SQLITE
def test_interrupted_trials_keep_the_same_weights(storage_url: str, tmp_path: Path) -> None:
    """The best epoch may lie before the interruption: its weights are in the checkpoint."""
    work(storage_url, spec("calm", keep_best=9))
    work_in_pieces(storage_url, spec("stopped", keep_best=9))
    names = kept_trials()
    assert names["calm"] == names["stopped"] and len(names["calm"]) >= 4
    folders = {str(whose["study"]): folder.name for folder, whose in kept.studies()}
    early = 0
    for number in names["calm"]:
        calm, stopped = (kept.load(_folder(folders[name], number)) for name in ("calm", "stopped"))
        assert calm.document["weights_sha256"] == stopped.document["weights_sha256"]
        early += calm.document["best_epoch"]["epoch"] < FIXED["epochs"]
    assert early, "no trial was at its best before its last epoch: this shows nothing"


def _folder(uid: str, number: int) -> Path:
    found = kept.find(uid, number)
    assert found is not None
    return found


def work_in_pieces(url: str, study: StudySpec) -> None:
    """After every eighth step, of which an epoch has five, another worker goes on."""
    for _ in range(100):
        looks = iter(range(8))

        def stop(looks: Any = looks) -> None:
            if next(looks, None) is None:
                raise StopRequestedError

        try:
            return work(url, study, stop)
        except StopRequestedError:
            continue
    raise AssertionError("the study does not end")


@SQLITE
def test_none_are_kept_if_none_are_wanted(storage_url: str) -> None:
    work(storage_url, spec("s", keep_best=0, trials=2))
    assert kept_trials() == {}


@SQLITE
def test_a_disk_that_does_not_take_them_is_reported_and_the_trial_counts(storage_url: str) -> None:
    settings().artifacts.write_text("in the way")
    work(storage_url, spec("s", keep_best=2, trials=2))
    assert len(ranking(storage_url)) == 2
    with ResultsStore(storage_url) as store, store.engine.connect() as connection:
        said = list(
            connection.scalars(text("SELECT message FROM findings WHERE check_name = 'kept_weights'"))
        )
    assert said == ["its best weights could not be kept: Not a directory"] * 2


@SQLITE
def test_what_a_killed_worker_left_goes_when_the_study_is_looked_at_again(storage_url: str) -> None:
    work(storage_url, spec("s", keep_best=1, trials=2))
    ((folder, _),) = kept.studies()
    (best,) = ranking(storage_url)[:1]
    other = ranking(storage_url)[1]
    shutil.copytree(_folder(folder.name, best), folder / f"trial-{other}-1")
    work(storage_url, spec("s", keep_best=1, trials=2))
    assert kept_trials() == {"s": [best]}
