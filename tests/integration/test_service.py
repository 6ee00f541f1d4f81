"""The loop of a worker that serves all open studies, in this process, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.events import Event, StudyOver, StudySkipped, StudyTaken, TrialEnded
from hpo.queue import control
from hpo.queue.enqueue import enqueue
from hpo.queue.slots import study_progress
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.storage.store import ResultsStore
from hpo.storage.tables import StudyRow, WorkerRow
from hpo.training.setup import prepare as real_prepare
from hpo.training.users_code import allow_only
from hpo.workers import loop
from hpo.workers.loop import serve
from hpo.workers.messages import Ready, WorkOrder
from hpo.workers.submit import submit_study

FIXED: dict[str, Any] = {
    "dataset": "synthetic", "train_images": 100, "width": 4, "depth": 2, "epochs": 1, "batch_size": 50,
    "precision": "fp32",
}  # fmt: skip


def _submit(url: str, name: str, trials: int = 2, priority: int = 0, **changes: Any) -> int:
    document = {"study": name, "trials": trials, "space": {"lr": {"log": [1e-3, 0.1]}}}
    spec = StudySpec.model_validate({"fixed": FIXED, **document, **changes})
    with ResultsStore(url) as store:
        return submit_study(store, spec, priority).study_id


def _serve(url: str, *names: str, check_stop: Any = None, **options: Any) -> list[Event]:
    events: list[Event] = []
    options = {"service": True, **options}
    order = WorkOrder(url, names, "cpu", 2, **options)
    serve(order, events.append, check_stop or (lambda: None), lambda ready: None)
    return events


def _trained(events: list[Event]) -> list[str]:
    """The studies of the trials that ended, in order."""
    study, found = "", []
    for event in events:
        if isinstance(event, StudyTaken):
            study = event.study
        elif isinstance(event, TrialEnded):
            found.append(study)
    return found


def _over(events: list[Event]) -> set[str]:
    return {event.study for event in events if isinstance(event, StudyOver)}


def test_loop_serves_studies_by_priority_then_in_turn(storage_url: str) -> None:
    for name, priority in (("a", 0), ("b", 0), ("urgent", 1)):
        _submit(storage_url, name, priority=priority)
    events = _serve(storage_url)
    assert _trained(events) == ["urgent", "urgent", "a", "b", "a", "b"]
    assert _over(events) == {"a", "b", "urgent"}
    with ResultsStore(storage_url) as store, store.engine.connect() as connection:
        assert connection.execute(select(WorkerRow.worker)).all() == []  # deregistered


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_serves_only_the_named_studies(storage_url: str) -> None:
    for name in ("a", "b"):
        _submit(storage_url, name, trials=1)
    assert _trained(_serve(storage_url, "b")) == ["b"]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_leaves_a_study_to_workers_with_its_tags(storage_url: str) -> None:
    _submit(storage_url, "plain", trials=1)
    _submit(storage_url, "large", trials=1, priority=9, needs=["gpu", "big"])
    assert _trained(_serve(storage_url, tags=frozenset({"big"}))) == ["plain"]
    assert _trained(_serve(storage_url, tags=frozenset({"big", "gpu"}))) == ["large"]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_run_refuses_a_study_that_needs_other_tags(storage_url: str) -> None:
    _submit(storage_url, "large", needs=["gpu"])
    with pytest.raises(UserError, match="study large needs gpu, which workers here do not have"):
        _serve(storage_url, "large", service=False)


def test_loop_skips_a_study_whose_data_set_is_missing(storage_url: str, tmp_path: Path) -> None:
    _submit(storage_url, "good", trials=1)
    elsewhere = _submit(storage_url, "elsewhere", priority=9)
    with ResultsStore(storage_url) as store:  # submitted on a machine that has the folder
        spec = store.read(
            lambda connection: connection.scalar(select(StudyRow.spec).where(StudyRow.study_id == elsewhere))
        )
        assert spec is not None
        fixed = {**spec["fixed"], "dataset": "folder", "data_root": str(tmp_path / "none")}
        moved = update(StudyRow).where(StudyRow.study_id == elsewhere)
        values = {"spec": {**spec, "fixed": fixed}, "dataset": "folder"}
        store.write(lambda connection: connection.execute(moved.values(values)))
    events = _serve(storage_url)
    assert _trained(events) == ["good"]
    (skipped,) = [event for event in events if isinstance(event, StudySkipped)]
    assert skipped.study == "elsewhere" and str(tmp_path / "none") in skipped.reason
    with ResultsStore(storage_url) as store:
        assert study_progress(store, elsewhere).waiting == 2


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_skips_a_study_of_a_different_version_of_hpo(storage_url: str) -> None:
    _submit(storage_url, "good", trials=1)
    newer = _submit(storage_url, "newer", priority=9)
    with ResultsStore(storage_url) as store:
        of_it = update(StudyRow).where(StudyRow.study_id == newer)
        spec = {"study": "newer", "trials": 2, "telepathy": True}
        store.write(lambda connection: connection.execute(of_it.values(spec=spec)))
    events = _serve(storage_url)
    assert _trained(events) == ["good"]
    (skipped,) = [event for event in events if isinstance(event, StudySkipped)]
    assert (
        "study newer was submitted by a different version of hpo" in skipped.reason
        and "telepathy" in skipped.reason
    )


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_stops_a_failing_study_and_serves_others(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hpo.trial.images

    def prepare(configuration: Any, *arguments: Any) -> Any:
        if configuration.width == 5:
            raise ValueError("no luck")
        return real_prepare(configuration, *arguments)

    monkeypatch.setattr(hpo.trial.images, "prepare", prepare)
    bad = _submit(
        storage_url, "bad", trials=9, priority=1, max_consecutive_failures=2, fixed={**FIXED, "width": 5}
    )
    _submit(storage_url, "good", trials=1)
    events = _serve(storage_url)
    assert _trained(events) == ["bad", "bad", "good"]
    (skipped,) = [event for event in events if isinstance(event, StudySkipped)]
    assert "its last 2 trials failed" in skipped.reason and "hpo resume bad" in skipped.reason
    with ResultsStore(storage_url) as store:
        assert store.read(lambda connection: control.stopped_at(connection, bad)) is not None
        # After `hpo resume` the count starts again.
        control.resume(store, bad)
    assert _trained(_serve(storage_url)) == ["bad", "bad"]


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_waits_for_later_studies_and_skips_stopped_ones(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _submit(storage_url, "first", trials=1)
    with ResultsStore(storage_url) as store:
        control.stop(store, first)
    rests = []

    def wait(_: Any, seconds: float) -> bool:
        rests.append(seconds)
        if len(rests) == 3:
            _submit(storage_url, "late", trials=1)
        if len(rests) == 5:
            raise StopRequestedError
        return False

    monkeypatch.setattr(loop.WorkerLoop, "_wait", wait)
    events: list[Event] = []
    with pytest.raises(StopRequestedError):
        order = WorkOrder(storage_url, (), "cpu", 2, service=True, waits=True)
        serve(order, events.append, lambda: None, lambda ready: None)
    assert _trained(events) == ["late"]
    assert rests[0] == loop.IDLE_SECONDS < rests[1] < rests[2]
    assert rests[3] == loop.IDLE_SECONDS  # again at once after work


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_reports_its_tags(storage_url: str) -> None:
    ready: list[Ready] = []
    order = WorkOrder(storage_url, (), "cpu", 2, tags=frozenset({"big"}), service=True)
    serve(order, lambda event: None, lambda: None, ready.append)
    assert ready[0].tags == {"big"} and ready[0].precision is None


FOREIGN = """
from collections.abc import Iterator
from pathlib import Path

from torch import nn

Path(__file__).with_name("imported").touch()


def build(options, *, in_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, classes))
"""


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_does_not_import_networks_that_are_not_allowed(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foreign_nets.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    _submit(storage_url, "good", trials=1)
    _submit(storage_url, "foreign", trials=1, priority=9, fixed={**FIXED, "model": "foreign_nets:build"})
    events = _serve(storage_url)
    assert _trained(events) == ["good"]
    (skipped,) = [event for event in events if isinstance(event, StudySkipped)]
    assert skipped.reason == (
        "model foreign_nets:build was not imported: this worker allows only bundled networks. If you trust "
        "its code, start the worker with HPO_ALLOWED_MODELS=foreign_nets"
    )
    assert not (tmp_path / "imported").exists()
    monkeypatch.setenv("HPO_ALLOWED_MODELS", "other, foreign_nets")
    settings.cache_clear()
    assert _trained(_serve(storage_url)) == ["foreign"]
    assert (tmp_path / "imported").exists()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_loop_refuses_an_enqueued_network_that_is_not_allowed(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slipped_nets.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    study_id = _submit(storage_url, "s", trials=1)
    with ResultsStore(storage_url) as store:
        enqueue(store, study_id, {"model": "slipped_nets:build"})
    (ended,) = [event for event in _serve(storage_url) if isinstance(event, TrialEnded)]
    assert ended.state == "failed" and "model slipped_nets:build was not imported" in ended.verdict
    assert not (tmp_path / "imported").exists()


@pytest.fixture(autouse=True)
def _any_network_afterwards() -> Iterator[None]:
    """Allow all networks again, for other tests of this process."""
    yield
    allow_only(None)
