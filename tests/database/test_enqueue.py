"""Known configurations in a study's slots: in front, in order, and kept."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import StudyChangedError
from hpo.queue.slots import enqueue, study_progress
from hpo.records import Outcome
from hpo.storage.tables import SlotRow, StudyRow
from tests.database.conftest import Bench


def _given(bench: Bench) -> dict[int, Any]:
    return {row.slot: row.given for row in sorted(bench.rows(SlotRow), key=lambda row: row.slot)}


def test_a_configuration_takes_the_place_of_the_next_draw(bench: Bench) -> None:
    study_id = bench.register(trials=4)
    bench.trial(study_id, Outcome("complete", value=0.5))
    assert bench.claim(study_id).given == {}
    assert enqueue(bench.store, study_id, {"lr": 0.2}) == (2, False)
    assert enqueue(bench.store, study_id, {"lr": 0.3, "gradient_clip": None}) == (3, False)
    assert _given(bench) == {0: None, 1: None, 2: {"lr": 0.2}, 3: {"lr": 0.3, "gradient_clip": None}}
    assert [bench.claim(study_id).given["lr"] for _ in range(2)] == [0.2, 0.3]


def test_a_study_whose_slots_have_all_begun_grows(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    bench.trial(study_id, Outcome("complete", value=0.5))
    assert enqueue(bench.store, study_id, {"lr": 0.2}) == (1, True)
    (study,) = bench.rows(StudyRow)
    assert study.spec["trials"] == 2
    # The file still says 1: what was put there stays.
    assert bench.register(trials=1) == study_id
    assert study_progress(bench.store, study_id).waiting == 1
    assert bench.claim(study_id).given == {"lr": 0.2}


def test_fewer_trials_take_back_draws_and_no_configuration_that_was_given(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    enqueue(bench.store, study_id, {"lr": 0.1})
    enqueue(bench.store, study_id, {"lr": 0.2})
    bench.register(trials=4)
    bench.register(trials=1)
    assert _given(bench) == {0: {"lr": 0.1}, 1: {"lr": 0.2}}


def test_the_study_files_own_configurations_have_the_first_slots(bench: Bench) -> None:
    study_id = bench.register(trials=3, first=[{"lr": 0.2}, {"lr": 0.3}])
    assert _given(bench) == {0: {"lr": 0.2}, 1: {"lr": 0.3}, 2: None}
    assert [bench.claim(study_id).given for _ in range(3)] == [{"lr": 0.2}, {"lr": 0.3}, {}]
    # More trials are draws, and going on with the study changes nothing.
    bench.register(trials=4, first=[{"lr": 0.2}, {"lr": 0.3}])
    assert _given(bench)[3] is None


def test_other_first_configurations_make_another_study(bench: Bench) -> None:
    bench.register(trials=2, first=[{"lr": 0.2}])
    with pytest.raises(StudyChangedError, match="first: "):
        bench.register(trials=2)


def test_of_stages_the_first_begins_with_them(bench: Bench) -> None:
    stages = [{"name": "coarse", "trials": 2, "epochs": 1}, {"name": "fine", "trials": 1, "epochs": 1}]
    bench.register(trials=3, stages=stages, first=[{"lr": 0.2}])
    assert _given(bench) == {0: {"lr": 0.2}, 1: None}
