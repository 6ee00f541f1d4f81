"""A trial's life in both sets of tables, ours and Optuna's."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event, func, select, update

from hpo.errors import LeaseLostError
from hpo.queries.trial import trial_detail
from hpo.queue.leases import release, renew
from hpo.queue.slots import study_progress
from hpo.records import Finding, LayerStatistics, Outcome
from hpo.storage import store as store_module
from hpo.storage.engine import writing
from hpo.storage.tables import EPOCHS, FINDINGS, LAYERS, AttemptRow, SlotRow, TrialRow
from tests.database.conftest import Bench


def test_a_trial_reaches_optuna_with_params_curve_and_verdict(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, number = bench.begin(lease, lr=0.01, activation="tanh")
    assert bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0) == 1
    for epoch, accuracy in [(1, 0.3), (2, 0.7), (3, 0.6)]:
        bench.store.record_epoch(lease, trial_id, bench.record(epoch, accuracy))
    (running,) = bench.optuna_trials()
    assert running.state is TrialState.RUNNING
    outcome = Outcome(
        "complete", value=0.7, verdict="healthy", best_epoch=2, parameters=1234, weights_hash="ab"
    )
    bench.store.finish_trial(lease, trial_id, outcome)

    (told,) = bench.optuna_trials()
    assert (told.number, told._trial_id, told.state, told.value) == (
        number,
        trial_id,
        TrialState.COMPLETE,
        0.7,
    )
    assert told.params == {"lr": 0.01, "activation": "tanh"}
    assert told.intermediate_values == {1: 0.3, 2: 0.7, 3: 0.6}
    assert told.user_attrs == {"stage": "main", "slot": 0, "verdict": "healthy", "best_epoch": 2}

    (ours,) = bench.rows(TrialRow)
    assert (ours.outcome, ours.value, ours.verdict, ours.best_epoch) == ("complete", 0.7, "healthy", 2)
    assert (ours.epochs, ours.seconds, ours.images, ours.images_per_second) == (3, 6.0, 300, 50.0)
    assert (ours.parameters, ours.weights_hash, ours.configuration["lr"]) == (1234, "ab", 0.01)
    assert ours.ended_at >= ours.started_at
    (slot,) = bench.rows(SlotRow, slot=0)
    assert (slot.state, slot.trial_id, slot.worker, slot.epoch) == ("done", trial_id, None, 3)
    (attempt,) = bench.rows(AttemptRow)
    assert (attempt.host, attempt.pid, attempt.outcome, attempt.to_epoch) == ("host", 1, "complete", 3)


def test_starting_a_trial_blocks_others_for_few_statements(bench: Bench) -> None:
    """Optuna locks the study meanwhile, and would read two rows and write one for each parameter."""
    study_id = bench.register()
    lease = bench.claim(study_id)
    said: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(bench.store.engine, "before_cursor_execute", hear)
    bench.begin(lease)
    event.remove(bench.store.engine, "before_cursor_execute", hear)
    assert not [each for each in said if "FROM trial_params" in each]


def test_the_next_worker_resumes_the_same_trial_and_number(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, number = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    bench.store.record_epoch(lease, trial_id, bench.record(2))
    # The worker dies without a word; its slot is given back by somebody.
    release(bench.store, lease)
    again = bench.claim(study_id, "other:2:0.00")
    assert bench.begin(again) == (trial_id, number)
    assert bench.store.begin_attempt(again, trial_id, device="cuda", from_epoch=1) == 2
    bench.store.record_epoch(again, trial_id, bench.record(2, 0.9))
    bench.store.finish_trial(again, trial_id, Outcome("complete", value=0.9))
    assert len(bench.optuna_trials()) == 1
    assert [row.val_accuracy for row in bench.rows(EPOCHS)] == [0.5, 0.9]
    (ours,) = bench.rows(TrialRow)
    assert (ours.worker, ours.device, ours.seconds) == ("other:2:0.00", "cuda", 4.0)


def test_time_of_a_trial_without_epochs_is_that_of_its_attempts(bench: Bench) -> None:
    study_id = bench.register()
    for end in (False, True):
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        with writing(bench.store.engine) as connection:
            earlier = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=100)
            is_open = AttemptRow.outcome.is_(None)
            connection.execute(update(AttemptRow).where(is_open).values(started_at=earlier))
        if end:
            bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.5))
        else:
            release(bench.store, lease)
    (trial,) = bench.rows(TrialRow)
    assert trial.seconds == pytest.approx(200.0, abs=20.0)
    assert not trial.images_per_second


def test_an_attempt_that_its_worker_never_ended_is_lost(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=1)
    first, second = bench.rows(AttemptRow)
    assert (first.outcome, first.to_epoch, first.ended_at) == ("lost", 1, None)
    assert (second.attempt, second.outcome, second.from_epoch) == (2, None, 1)


@pytest.mark.parametrize("step", ["_insert_trial", "set_outcome"])
def test_a_worker_killed_between_optunas_write_and_ours_leaves_neither(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The process dies inside the transaction: nothing of it is seen, and doing it again does it once."""

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    study_id = bench.register()
    lease = bench.claim(study_id)
    with monkeypatch.context() as patched:
        if step == "_insert_trial":
            patched.setattr(store_module, step, die)
            with pytest.raises(Killed):
                bench.begin(lease)
            assert bench.optuna_trials() == []
        trial_id, _ = bench.begin(lease) if step == "set_outcome" else (0, 0)
        if step == "set_outcome":
            patched.setattr(store_module, step, die)
            with pytest.raises(Killed):
                bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.5))
            (told,) = bench.optuna_trials()
            assert (told.state, told.value, told.user_attrs) == (
                TrialState.RUNNING,
                None,
                {"stage": "main", "slot": 0},
            )
    trial_id, _ = bench.begin(lease)
    bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.5))
    assert [trial.state for trial in bench.optuna_trials()] == [TrialState.COMPLETE]


def test_a_write_whose_success_was_not_heard_of_is_made_again_without_harm(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    assert bench.begin(lease) == bench.begin(lease)
    trial_id, _ = bench.begin(lease)
    finding = Finding("loss", "fatal", math.nan, math.nan, "NaN", step=7, epoch=1)
    layer = LayerStatistics("conv1", step=7, epoch=1, position=0, dead=0.25, std=math.inf)
    for _ in range(2):
        bench.store.record_epoch(lease, trial_id, bench.record(1))
        bench.store.record_findings(lease, trial_id, [finding])
        bench.store.record_layers(lease, trial_id, [layer])
    for _ in range(2):
        bench.store.finish_trial(lease, trial_id, Outcome("pruned", value=0.5))
    assert [len(bench.rows(table)) for table in (EPOCHS, FINDINGS, LAYERS)] == [1, 1, 1]
    assert study_progress(bench.store, study_id).pruned == 1
    with pytest.raises(LeaseLostError):
        renew(bench.store, lease)


def test_a_histogram_is_read_as_it_was_written(bench: Bench) -> None:
    lease = bench.claim(bench.register())
    trial_id, number = bench.begin(lease)
    counted = LayerStatistics("conv", step=7, epoch=1, position=0, low=-1 / 3, high=2.0, counts=(5, 0, 7))
    without = LayerStatistics("conv", step=15, epoch=1, position=0, low=math.nan, high=math.nan)
    bench.store.record_layers(lease, trial_id, [counted, without])
    written = trial_detail(bench.store.engine, "first", number).layers
    assert written == (counted, without)
    nulls = select(LAYERS.c.step).where(LAYERS.c.activation_counts.is_(None))
    with bench.store.engine.connect() as connection:
        assert connection.scalars(nulls).all() == [15]


def test_numbers_that_are_not_finite_are_null(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    bench.store.record_epoch(lease, trial_id, bench.record(1, train_loss=math.nan, val_loss=math.inf))
    bench.store.finish_trial(lease, trial_id, Outcome("pruned", value=math.nan))
    (epoch,) = bench.rows(EPOCHS)
    assert (epoch.train_loss, epoch.val_loss, epoch.val_accuracy) == (None, None, 0.5)
    (told,) = bench.optuna_trials()
    assert (told.state, told.value) == (TrialState.PRUNED, None)


def test_a_failed_trial_keeps_its_traceback_whatever_is_in_it(bench: Bench) -> None:
    study_id = bench.register()
    error = "Traceback ...\nValueError: \x00 and half a character \ud800"
    bench.trial(study_id, Outcome("failed", error=error, verdict="an error: ValueError"))
    (ours,) = bench.rows(TrialRow)
    assert ours.error == "Traceback ...\nValueError: \ufffd and half a character ?"
    (told,) = bench.optuna_trials()
    assert (told.state, told.user_attrs["verdict"]) == (TrialState.FAIL, "an error: ValueError")


def test_a_trial_ended_with_optunas_tools_is_ended_here_too(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, number = bench.begin(lease)
    with bench.plain_optuna() as storage:
        optuna.load_study(study_name="first", storage=storage).tell(number, state=TrialState.FAIL)
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.5))
    (told,) = bench.optuna_trials()
    assert told.state is TrialState.FAIL
    assert study_progress(bench.store, study_id).done == 1


def test_ids_that_sqlite_gives_out_again_bring_nothing_old_with_them(bench: Bench) -> None:
    """Another study is deleted with Optuna's own tools while this one runs."""
    study_id = bench.register("first")
    bench.trial(bench.register("second"), Outcome("complete", value=0.9), accuracies=(0.9,))
    with bench.plain_optuna() as storage:
        optuna.delete_study(study_name="second", storage=storage)
    trial_id = bench.trial(study_id, Outcome("pruned"))
    with bench.store.engine.connect() as connection:
        epochs = connection.scalar(select(func.count()).where(EPOCHS.c.trial_id == trial_id))
    assert epochs == 0
    assert [row.study_id for row in bench.rows(TrialRow, trial_id=trial_id)] == [study_id]
