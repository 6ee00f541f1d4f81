"""A study in which trial after trial fails is stopped, and says why."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

import hpo.training.setup
from hpo.config.study import StudySpec
from hpo.errors import FailingStudyError
from hpo.queue.slots import StudyProgress, study_progress
from hpo.storage.store import ResultsStore
from hpo.training.model_factory import build_model
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study


class _Broken(nn.Module):
    """Works in evaluation, and so passes the check on start; raises in training."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            raise ValueError("no gradient today")
        logits: Tensor = self.dense(images.flatten(1))
        return logits


def _spec(widths: list[int], most: int) -> StudySpec:
    fixed = {"dataset": "synthetic", "train_images": 100, "epochs": 1, "batch_size": 50, "depth": 2}
    document = {
        "study": "s",
        "trials": len(widths),
        "sampler": "grid",
        "fixed": fixed | {"precision": "fp32"},
    }
    space = {"width": {"choice": widths}}
    return StudySpec.model_validate(document | {"space": space, "max_consecutive_failures": most})


def _serve(url: str, spec: StudySpec) -> StudyProgress:
    with ResultsStore(url) as store:
        study_id = submit_study(store, spec).study_id
        try:
            serve(WorkOrder(url, ("s",), "cpu", 2), lambda event: None, lambda: None, lambda ready: None)
        finally:
            now = study_progress(store, study_id)
    return now


@pytest.fixture(autouse=True)
def _broken_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd widths are broken."""
    real = build_model

    def build(configuration: Any, **arguments: Any) -> nn.Module:
        return _Broken() if configuration.width % 2 else real(configuration, **arguments)

    monkeypatch.setattr(hpo.training.setup, "build_model", build)


def test_study_stops_after_consecutive_failures_and_resumes(storage_url: str) -> None:
    broken = _spec([1, 3, 5, 7, 9], most=2)
    message = (
        r"its last 2 trials failed, number 1 with\n  error: ValueError: no gradient today\nDetails: hpo "
    )
    with pytest.raises(FailingStudyError, match=message):
        _serve(storage_url, broken)
    with pytest.raises(FailingStudyError, match="number 3 with"):
        _serve(storage_url, broken)
    assert _serve(storage_url, broken.model_copy(update={"max_consecutive_failures": 9})).failed == 5


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_study_with_scattered_failures_does_not_stop(storage_url: str) -> None:
    assert _serve(storage_url, _spec([1, 4, 3], most=2)) == StudyProgress(complete=1, failed=2)
