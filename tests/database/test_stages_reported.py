"""What is said of a study in stages, and what else is done with it: its report, its last space, its test."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import UserError
from hpo.queries.stages import stages_status
from hpo.queue.enqueue import enqueue
from hpo.records import Outcome
from hpo.reporting.report.build import make_report
from hpo.stages.advance import advance, evaluate_on_test, refined_study
from hpo.storage.tables import SlotRow, StageRow
from tests.database.conftest import Bench
from tests.helpers.staged_study import PLANNED, STAGES, finish, good


@pytest.fixture
def study_id(bench: Bench) -> int:
    return int(bench.register(trials=PLANNED, stages=STAGES))


def test_a_known_configuration_takes_part_in_all_of_it(bench: Bench, study_id: int) -> None:
    enqueue(bench.store, study_id, {"lr": 0.01, "activation": "elu", "batch_size": 32})
    while advance(bench.store, "first"):
        finish(bench, study_id)
    given = [row.given for row in bench.rows(SlotRow, stage="confirm")]
    assert {"lr": 0.01, "activation": "elu", "batch_size": 32} in given


def test_the_space_that_is_left_as_a_study(bench: Bench, study_id: int) -> None:
    finish(bench, study_id)
    spec, comments = refined_study(bench.store.engine, "first", 0.25)
    advance(bench.store, "first")
    (fine,) = bench.rows(StageRow, stage="fine")
    assert list(spec.space["lr"].bounds) == fine.space["lr"]["log"]  # type: ignore[union-attr]
    assert (spec.seed, spec.stages, spec.fixed["epochs"]) == (0, (), 1)
    assert comments[0] == "What 12 finished trials of the study first, stage coarse leave of its space:"
    assert comments[1].startswith("  lr: narrowed from log 1e-4 to 1 to log ")


def test_report_of_a_finished_study_in_stages_counts_only_failures(bench: Bench, study_id: int) -> None:
    def rule(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        if stage == "coarse" and slot < 2:
            return Outcome("pruned", cause="lr_too_high")
        # It learned, though the checks had something to say.
        cause = "lr_too_high" if stage == "coarse" and slot == 2 else "healthy"
        return Outcome("complete", value=good(stage, slot, values).value, cause=cause)

    while advance(bench.store, "first"):
        assert "finished" not in _state_and_summary(bench)
        finish(bench, study_id, rule)
    said = _state_and_summary(bench)
    assert "finished" in said
    assert "failed or did not learn, most often with the verdict “learning rate too high” (2 trials)" in said


def test_a_report_of_a_study_that_ended_in_a_stage_reports_finished(bench: Bench, study_id: int) -> None:
    finish(bench, study_id, lambda stage, slot, values: Outcome("pruned", cause="lr_too_high"))
    assert not advance(bench.store, "first")
    assert "finished" in _state_and_summary(bench)


def _state_and_summary(bench: Bench) -> str:
    page = make_report(bench.store.url, "first", "md").text
    return page[: page.index("Setup")]


def test_each_evaluation_on_the_test_images_is_counted(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    finish(bench, study_id)
    assert [evaluate_on_test(bench.store, "first", 0) for _ in range(2)] == [0, 1]
    assert bench.register(trials=1) == study_id
    given = [row.given for row in bench.rows(SlotRow, stage="test")]
    assert len(given) == 2
    assert (given[0], given[0]["epochs"]) == (given[1], 3)
    lease = bench.claim(study_id)
    assert (lease.stage, lease.slot) == ("test", 0)
    trial_id, _ = bench.begin(lease)
    bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.4, test_value=0.4))
    status = stages_status(bench.store.engine, "first")
    assert [look.test_value for look in status.looks] == [0.4]
    assert [each.message for each in status.decisions] == [
        "trial 0 is trained on training and validation images and evaluated on the test images",
        "trial 0 is trained on training and validation images and evaluated on the test images: "
        "evaluation 2; only the first one is unbiased",
    ]
    with pytest.raises(
        UserError, match="trial 1 of study first is in stage test and its outcome is complete"
    ):
        evaluate_on_test(bench.store, "first", 1)


def test_a_study_that_confirms_looks_by_itself(bench: Bench, study_id: int) -> None:
    finish(bench, study_id)
    with pytest.raises(UserError, match="evaluates its winner on the test images after its confirmation"):
        evaluate_on_test(bench.store, "first", 0)
