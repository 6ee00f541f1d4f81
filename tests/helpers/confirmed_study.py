"""A study of the user's own training whose luckiest run is not of the configuration that was confirmed."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.stages.advance import advance
from hpo.storage.store import ResultsStore
from hpo.workers.submit import submit_study
from tests.database.test_own_training import STAGES, _spec, _train


@dataclass(frozen=True)
class Confirmed:
    """The trial that was confirmed, the better of its two runs, and the luckiest run of the other one."""

    number: int
    best_run: int
    lucky: int
    rate: float


def confirmed_study(store: ResultsStore) -> Confirmed:
    """Train all stages: 8 and 4 trials, and two configurations with two seeds each."""
    study_id = submit_study(store, _spec(STAGES)).study_id
    for slot in range(8):
        _train(store, study_id, 0.5 + slot / 100)
    advance(store, "mine")
    _train(store, study_id, 0.8)
    second = _train(store, study_id, 0.7)
    for _ in range(2):
        _train(store, study_id, 0.6)
    advance(store, "mine")
    runs = [_train(store, study_id, value) for value in (0.99, 0.91, 0.5, 0.89)]
    advance(store, "mine")
    return Confirmed(second.number, runs[1].number, runs[0].number, second.values["rate"])
