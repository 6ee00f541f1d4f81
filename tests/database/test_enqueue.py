"""Known configurations in a study's slots: in front, in order, and kept."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.config.study import StudySpec
from hpo.errors import StudyChangedError, UserError
from hpo.queue.enqueue import ADDED, MOVED, REPLACED, WAITING, Enqueued, enqueue, require_point
from hpo.queue.slots import study_progress
from hpo.records import Outcome
from hpo.search.samplers.registry import sample_slot
from hpo.storage.tables import SlotRow, StudyRow
from tests.database.conftest import Bench


def _given(bench: Bench) -> dict[int, Any]:
    return {row.slot: row.given for row in sorted(bench.rows(SlotRow), key=lambda row: row.slot)}


def test_a_configuration_takes_the_place_of_the_next_draw(bench: Bench) -> None:
    study_id = bench.register(trials=4)
    bench.trial(study_id, Outcome("complete", value=0.5))
    assert bench.claim(study_id).given == {}
    assert enqueue(bench.store, study_id, {"lr": 0.2}) == Enqueued(2, {"lr": 0.2}, REPLACED)
    assert enqueue(bench.store, study_id, {"lr": 0.3, "gradient_clip": None}).slot == 3
    assert _given(bench) == {0: None, 1: None, 2: {"lr": 0.2}, 3: {"lr": 0.3, "gradient_clip": None}}
    assert [bench.claim(study_id).given["lr"] for _ in range(2)] == [0.2, 0.3]


def test_a_study_whose_slots_have_all_begun_grows(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    bench.trial(study_id, Outcome("complete", value=0.5))
    assert enqueue(bench.store, study_id, {"lr": 0.2}) == Enqueued(1, {"lr": 0.2}, ADDED)
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


FINITE = {"activation": {"choice": ["relu", "tanh", "elu"]}, "width": {"choice": [4, 8]}}
POINTS = [{"activation": name, "width": width} for name in ("relu", "tanh", "elu") for width in (4, 8)]


def _trained(bench: Bench, study_id: int, spec: StudySpec) -> list[dict[str, Any]]:
    """The values of every slot, in the order in which they are claimed."""
    leases = [bench.claim(study_id) for _ in range(spec.trials)]
    return [dict(lease.given) or sample_slot(spec, lease.slot) for lease in leases]


@pytest.mark.parametrize("sampler", ["grid", "random", "sobol"])
def test_a_point_enqueued_early_leaves_every_point_trained_once(bench: Bench, sampler: str) -> None:
    spec = bench.spec(trials=6, sampler=sampler, space=FINITE)
    study_id = bench.register(trials=6, sampler=sampler, space=FINITE)
    chosen = sample_slot(spec, 4)
    assert enqueue(bench.store, study_id, chosen) == Enqueued(0, chosen, MOVED)
    assert enqueue(bench.store, study_id, chosen) == Enqueued(0, chosen, WAITING)
    other = sample_slot(spec, 0)  # which slot 4 has now
    assert enqueue(bench.store, study_id, other) == Enqueued(1, other, MOVED)
    trained = _trained(bench, study_id, spec)
    assert trained[:2] == [chosen, other]
    assert sorted(trained, key=POINTS.index) == POINTS


def test_part_of_a_grid_point_moves_the_first_that_fits(bench: Bench) -> None:
    spec = bench.spec(trials=6, sampler="grid", space=FINITE)
    study_id = bench.register(trials=6, sampler="grid", space=FINITE)
    elu = {"activation": "elu", "width": 4}
    assert enqueue(bench.store, study_id, {"activation": "elu", "epochs": 3}) == Enqueued(0, elu, MOVED)
    assert sorted(_trained(bench, study_id, spec), key=POINTS.index) == POINTS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 16}, "width 16 is not in the grid"),
        ({"width": 4, "dropout": 0.5}, "the grid does not search dropout"),
        ({"activation": "relu", "width": 4}, "no point of the grid with these values is waiting"),
        ({"activation": "elu"}, "beyond the study's 4 trials"),
    ],
)
def test_a_grid_refuses_what_it_cannot_train_once(bench: Bench, given: Any, message: str) -> None:
    study_id = bench.register(trials=4, sampler="grid", space=FINITE)
    bench.claim(study_id)
    bench.begin(bench.claim(study_id))
    before = _given(bench)
    if message.startswith(("width", "the grid", "beyond")):
        with pytest.raises(UserError, match=message):
            require_point(bench.spec(trials=4, sampler="grid", space=FINITE), given)
    if given == {"activation": "relu", "width": 4}:
        bench.begin(bench.claim(study_id))
    with pytest.raises(UserError, match=message):
        enqueue(bench.store, study_id, given)
    assert _given(bench) == before


def test_an_enqueued_study_that_has_not_started_does_not_say_it_has(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    assert enqueue(bench.store, study_id, {"lr": 0.1}).place == REPLACED
    assert enqueue(bench.store, study_id, {"lr": 0.2}).place == ADDED
    assert "has started or is enqueued" in ADDED
