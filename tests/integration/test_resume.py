"""Trials that are stopped again and again end as if nothing had happened: weights, curve, findings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import hpo.checks.measure.memorize
import hpo.training.evaluate
import hpo.training.loop
from hpo import heartbeat
from hpo.config.study import StudySpec
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.storage.store import ResultsStore
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study
from tests.conftest import NewDatabase

FIXED: dict[str, Any] = {
    "dataset": "synthetic",
    "train_images": 600,
    "width": 4,
    "depth": 2,
    "epochs": 3,
    "batch_size": 40,
    "precision": "fp32",
    "val_fraction": 0.2,
}
ADAM = {"activation": "rrelu", "optimizer": "adam", "lr": 1e-3, "label_smoothing": 0.1}
WARM_UP = {"dropout": 0.3, "warmup_epochs": 1, "schedule": "cosine"}
KINDS: dict[str, dict[str, Any]] = {
    "dropout and warm-up": WARM_UP,
    "rrelu and adam": ADAM,
    "augmentation and norm": {"augmentation": "flip_crop_cutout", "batch_norm": "after", "momentum": 0.8},
}
KINDS["all of these"] = KINDS["augmentation and norm"] | WARM_UP | ADAM
INTERRUPTED = [
    pytest.param(kind, piece, marks=[] if (kind, piece) == ("all of these", 17) else pytest.mark.slow)
    for kind in KINDS
    for piece in (6, 17)
]
"""The default optimizer, SGD with momentum, is interrupted by the other tests."""
SOUND_AND_EXPLODING = {"lr": {"choice": [0.02, 1e6]}}

EPOCHS = """
    SELECT number, epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr, images
    FROM curves WHERE study = :study ORDER BY number, epoch
"""
TRIALS = """
    SELECT number, slot, state, value, verdict, weights_hash FROM results WHERE study = :study ORDER BY slot
"""
FINDINGS = """
    SELECT t.slot, f.check_name, f.severity, f.step, f.epoch, f.layer, f.value, f.threshold, f.message
    FROM hpo_finding AS f JOIN hpo_trial AS t ON t.trial_id = f.trial_id
    JOIN hpo_study AS s ON s.study_id = t.study_id
    WHERE s.name = :study ORDER BY t.slot, f.check_name, f.step, f.layer
"""
LAYERS = """
    SELECT t.slot, l.step, l.position, l.epoch, l.activation_mean, l.gradient_norm, l.update_ratio
    FROM hpo_layer AS l JOIN hpo_trial AS t ON t.trial_id = l.trial_id
    JOIN hpo_study AS s ON s.study_id = t.study_id
    WHERE s.name = :study ORDER BY t.slot, l.step, l.position
"""
ATTEMPTS = """
    SELECT a.attempt, a.from_epoch, a.to_epoch, a.outcome
    FROM hpo_attempt AS a JOIN hpo_trial AS t ON t.trial_id = a.trial_id
    JOIN hpo_study AS s ON s.study_id = t.study_id
    WHERE s.name = :study AND t.slot = 0 ORDER BY a.attempt
"""


def spec(name: str, **fixed: Any) -> StudySpec:
    document = {"study": name, "trials": 2, "sampler": "grid", "fixed": FIXED | fixed}
    return StudySpec.model_validate(document | {"space": SOUND_AND_EXPLODING})


def work(url: str, name: str, check_stop: Callable[[], None] = lambda: None) -> None:
    serve(WorkOrder(url, (name,), "cpu", 2), lambda event: None, check_stop, lambda ready: None)


def rows(url: str, sql: str, study: str) -> list[tuple[Any, ...]]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql), {"study": study})]


def everything(url: str, study: str) -> Everything:
    return {name: rows(url, sql, study) for name, sql in ALL.items()}


Everything = dict[str, list[tuple[Any, ...]]]
Calm = Callable[..., Everything]
ALL = {"trials": TRIALS, "epochs": EPOCHS, "findings": FINDINGS, "layers": LAYERS}


@pytest.fixture(scope="module")
def _calm() -> dict[str, Everything]:
    return {}


@pytest.fixture
def calm(_calm: dict[str, Everything], new_database: NewDatabase) -> Calm:
    """What the study comes to that nothing interrupts, with those changes; trained once."""

    def calm(**fixed: Any) -> Everything:
        if repr(fixed) not in _calm:
            url = new_database("sqlite")
            with ResultsStore(url) as store:
                submit_study(store, spec("calm", **fixed))
            work(url, "calm")
            _calm[repr(fixed)] = everything(url, "calm")
        return {name: list(found) for name, found in _calm[repr(fixed)].items()}

    return calm


class StopAfter:
    """A stop request after the ``count``-th step from now."""

    def __init__(self, count: int) -> None:
        self._last = StopAfter.steps + count

    steps = 0

    def __call__(self) -> None:
        if StopAfter.steps >= self._last:
            raise StopRequestedError


@pytest.fixture(autouse=True)
def _count_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    real = heartbeat.beat

    def counted() -> None:
        StopAfter.steps += 1
        real()

    monkeypatch.setattr(hpo.training.loop, "beat", counted)


def work_in_pieces(url: str, study: str, piece: int) -> int:
    """How many workers it took, each of which was stopped after so many steps."""
    for count in range(1, 100):
        try:
            work(url, study, StopAfter(piece))
        except StopRequestedError:
            continue
        return count
    raise AssertionError("the study does not end")


@pytest.mark.parametrize(("kind", "piece"), INTERRUPTED)
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_interrupted_trials_end_like_uninterrupted_ones(
    storage_url: str, kind: str, piece: int, calm: Calm
) -> None:
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped", **KINDS[kind]))
    pieces = work_in_pieces(storage_url, "stopped", piece)
    assert everything(storage_url, "stopped") == calm(**KINDS[kind])
    assert pieces > 2
    assert not settings().checkpoints.exists() or not list(settings().checkpoints.rglob("*.json"))


def test_attempts_record_the_epoch_each_worker_resumed_from(storage_url: str, calm: Calm) -> None:
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped"))
    work_in_pieces(storage_url, "stopped", 17)
    assert rows(storage_url, ATTEMPTS, "stopped") == [
        (1, 0, 1, "released"),
        (2, 1, 2, "released"),
        (3, 2, 3, "complete"),
    ]
    assert everything(storage_url, "stopped") == calm()


def _checkpoints(suffix: str) -> list[Path]:
    return sorted(settings().checkpoints.rglob(f"*{suffix}"))


def _notes(url: str) -> list[tuple[Any, ...]]:
    found = rows(url, FINDINGS, "stopped")
    return [row for row in found if row[1] == "checkpoint"]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(storage_url: str, calm: Calm) -> None:
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped"))
    with pytest.raises(StopRequestedError):
        work(storage_url, "stopped", StopAfter(22))
    before, newest = _checkpoints(".pt")
    newest.write_bytes(newest.read_bytes()[:-1])
    work(storage_url, "stopped")
    (note,) = _notes(storage_url)
    assert note[2] == "note" and note[8] == (
        f"the checkpoint of step {int(newest.stem.split('-')[1])} was not used: it is damaged: "
        "its tensors do not match their checksum"
    )
    found, expected = everything(storage_url, "stopped"), calm()
    found["findings"].remove(note)
    assert found == expected
    assert rows(storage_url, ATTEMPTS, "stopped") == [(1, 0, 1, "released"), (2, 1, 3, "complete")]
    assert not before.exists()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_without_a_checkpoint_the_trial_starts_again(storage_url: str, calm: Calm) -> None:
    """As on a machine that does not share the folder: what was recorded is replaced, not doubled."""
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped"))
    with pytest.raises(StopRequestedError):
        work(storage_url, "stopped", StopAfter(22))
    for path in _checkpoints(".json"):
        path.unlink()
    with pytest.raises(StopRequestedError):
        work(storage_url, "stopped", StopAfter(8))
    assert rows(storage_url, EPOCHS, "stopped") == []
    work(storage_url, "stopped")
    assert everything(storage_url, "stopped") == calm()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_training_continues_where_no_checkpoint_can_be_written(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HPO_CHECKPOINTS", str(tmp_path / "file" / "checkpoints"))
    settings.cache_clear()
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped"))
    work(storage_url, "stopped")
    assert [row[2] for row in rows(storage_url, TRIALS, "stopped")] == ["complete", "pruned"]
    notes = _notes(storage_url)
    assert notes and all("not every checkpoint could be written" in note[8] for note in notes)
    assert "Not a directory" in notes[0][8]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_stop_within_an_evaluation_is_obeyed_there(
    storage_url: str, monkeypatch: pytest.MonkeyPatch, calm: Calm
) -> None:
    """The state after the epoch's last step is saved, and the evaluation is made again."""
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped"))
    evaluated: list[int] = []
    monkeypatch.setattr(hpo.training.evaluate, "beat", lambda: evaluated.append(1))

    def stop() -> None:
        if evaluated:
            raise StopRequestedError

    with pytest.raises(StopRequestedError):
        work(storage_url, "stopped", stop)
    newest = json.loads(_checkpoints(".json")[-1].read_text())["trial"]
    assert (newest["epoch"], newest["steps"]) == (1, 15)
    assert rows(storage_url, EPOCHS, "stopped") == []
    work(storage_url, "stopped")
    assert everything(storage_url, "stopped") == calm()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_stop_before_training_is_obeyed_there(
    storage_url: str, monkeypatch: pytest.MonkeyPatch, calm: Calm
) -> None:
    with ResultsStore(storage_url) as store:
        submit_study(store, spec("stopped"))
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        heartbeat.beat()

    monkeypatch.setattr(hpo.checks.measure.memorize, "beat", look)

    def stop() -> None:
        if looks:
            raise StopRequestedError

    with pytest.raises(StopRequestedError):
        work(storage_url, "stopped", stop)
    assert len(looks) == 1
    assert rows(storage_url, ATTEMPTS, "stopped") == [(1, 0, 0, "released")]
    work(storage_url, "stopped", lambda: None)
    assert everything(storage_url, "stopped") == calm()
