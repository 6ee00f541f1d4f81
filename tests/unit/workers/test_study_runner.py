from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hpo.errors import LeaseLostError
from hpo.events import Event, LeaseLost
from hpo.workers import study_runner


def test_a_lost_lease_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: Any) -> None:
        raise LeaseLostError("slot 3 was taken over")

    told: list[Event] = []
    monkeypatch.setattr(study_runner, "run_trial", lose)
    study_runner._work_on(SimpleNamespace(worker="h:1:a", emit=told.append), SimpleNamespace(slot=3))  # type: ignore[arg-type]
    assert told == [LeaseLost("h:1:a", 3)]
