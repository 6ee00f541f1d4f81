"""Several processes on one database at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import inspect

from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.data.division import DRAWN
from hpo.queue.slots import register_study
from hpo.storage.store import ResultsStore
from hpo.storage.views import VIEWS
from tests import helpers
from tests.helpers import forked

PROCESSES = 4
SLOTS = 40


class Supervisor:
    """Processes that do the same thing at the same time."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes
        assert self._answers() == ["ready"] * PROCESSES

    def together(self, *order: Any) -> list[Any]:
        for process in self.processes:
            assert process.stdin
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        return self._answers()

    def _answers(self) -> list[Any]:
        return [json.loads(process.stdout.readline()) for process in self.processes if process.stdout]


@pytest.fixture(scope="module")
def crew() -> Iterator[Supervisor]:
    command = [str(Path(helpers.__file__).with_name("claiming_processes.py"))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        yield Supervisor(
            [stack.enter_context(forked.ForkedPython(command, **pipes)) for _ in range(PROCESSES)]
        )


class Images:
    name, fingerprint, origin = "synthetic", "f" * 64, "drawn here"
    classes, train_labels, class_counts = tuple("0123456789"), range(50_000), (5_000,) * 10
    division = DRAWN
    format = STANDARD


def test_processes_upgrade_at_once_and_claim_no_slot_twice(empty_storage_url: str, crew: Supervisor) -> None:
    assert crew.together(empty_storage_url, None) == ["upgraded"] * PROCESSES
    with ResultsStore(empty_storage_url) as store:
        assert set(inspect(store.engine).get_view_names()) == set(VIEWS)
        study_id = register_study(store, StudySpec(study="many", trials=SLOTS), cast(Any, Images()))
    claimed = crew.together(empty_storage_url, study_id)
    assert sorted(slot for each in claimed for slot in each) == [[slot, 1] for slot in range(SLOTS)]
