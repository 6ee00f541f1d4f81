"""Workers killed where the search decides on a trial: the same trials end, and for the same reasons."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from hpo.testing.faults import POINTS
from tests.helpers.killable_workers import KillableWorkers, checkpoints, rows, submit

pytestmark = pytest.mark.usefixtures("same_settings")
DECIDING = [point for point in POINTS if point.startswith(("trial.judge", "trial.pause"))]
PROMOTING = {"asha": {"reduction": 2, "promote": True}}
RATES = {"lr": {"choice": [1e-5, 0.03, 0.02, 1e-4]}}
DECIDED = """
    SELECT t.slot, t.outcome, t.verdict, t.weights_hash, r.epoch, r.score, r.decision, r.reason
    FROM hpo_trial AS t LEFT JOIN hpo_rung AS r ON r.trial_id = t.trial_id ORDER BY t.slot, r.epoch
"""
Decided = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def decided(killable: KillableWorkers, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Decided]:
    """What comes of a study whose trials are paused and promoted, if nobody disturbs it."""

    @functools.cache
    def of_study() -> Decided:
        url = f"sqlite:///{tmp_path_factory.mktemp('decided')}/hpo.db"
        submit(url, "s", 4, RATES, pruner=PROMOTING)
        assert killable.run(url, "s") == "exit 0"
        return rows(url, DECIDED)

    return of_study


SLOW = pytest.mark.slow
ON_BOTH = pytest.mark.parametrize(
    "storage_url",
    ["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgres, SLOW])],
    indirect=True,
)
FAULTS = [
    pytest.param(f"{point}:{count}", marks=[] if (point, count) == ("trial.judged", 1) else SLOW)
    for point in DECIDING
    for count in (1, 3)
]
PROMOTED = [pytest.param(f"{point}:5", marks=SLOW) for point in ("worker.claimed", "trial.begun")]
"""The four slots have each been claimed once by then: this claim goes on with a paused trial."""


@ON_BOTH
@pytest.mark.parametrize("fault", [*FAULTS, *PROMOTED])
def test_a_worker_killed_where_the_search_decides(
    killable: KillableWorkers, storage_url: str, fault: str, decided: Callable[[], Decided]
) -> None:
    submit(storage_url, "s", 4, RATES, pruner=PROMOTING)
    assert killable.run(storage_url, "s", fault) == "signal 9"
    submit(storage_url, "s", 4, RATES, pruner=PROMOTING)  # takes its trial back at once, as `hpo run` does
    assert killable.run(storage_url, "s") == "exit 0"
    assert rows(storage_url, DECIDED) == decided()
    assert {outcome for _, outcome, *_ in decided()} == {"complete", "pruned"}
    assert checkpoints(storage_url) == []
