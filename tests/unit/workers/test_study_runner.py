from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hpo.errors import LeaseLostError
from hpo.events import Event, LeaseLost
from hpo.workers import study_runner


def test_runner_reports_a_lost_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: Any) -> None:
        raise LeaseLostError("slot 3 was taken over")

    emitted: list[Event] = []
    monkeypatch.setattr(study_runner, "run_trial", lose)
    monkeypatch.setattr(study_runner, "require_registered", lambda store, worker: None)
    context: Any = SimpleNamespace(worker="h:1:a", store=None, emit=emitted.append)
    lease: Any = SimpleNamespace(slot=3)
    study_runner._train(context, lease)
    assert emitted == [LeaseLost("h:1:a", 3)]
