"""Submitting a study: its slots, and what may change when it is submitted again."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from hpo import __version__
from hpo.config.image_format import STANDARD
from hpo.errors import StudyChangedError, UserError
from hpo.maintenance.deletion import withdraw_study
from hpo.queue.enqueue import enqueue
from hpo.queue.leases import release
from hpo.queue.slots import StudyProgress, register_study, study_progress
from hpo.records import Outcome
from hpo.signals import StopFlag
from hpo.storage.studies import find_registered
from hpo.storage.tables import SlotRow, StudyRow, TrialRow
from hpo.training.study_images import ChosenImages
from hpo.workers.run import StudyRun
from hpo.workers.submit import submit_study
from tests.database.conftest import Bench
from tests.helpers.datasets import blank_dataset


def test_a_study_is_submitted_once_with_its_slots(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    assert bench.register(trials=3) == study_id
    assert [(row.stage, row.slot, row.state, row.token) for row in bench.rows(SlotRow)] == [
        ("main", 0, "waiting", 0),
        ("main", 1, "waiting", 0),
        ("main", 2, "waiting", 0),
    ]
    (study,) = bench.rows(StudyRow)
    assert (study.name, study.seed, study.dataset, study.dataset_fingerprint) == (
        "first",
        0,
        "synthetic",
        "f" * 64,
    )
    assert study.code_version.startswith(f"{__version__}+")
    assert study.package_versions["optuna"] == optuna.__version__
    with bench.plain_optuna() as storage:
        found = optuna.load_study(study_name="first", storage=storage)
        assert (found._study_id, found.direction) == (study_id, optuna.study.StudyDirection.MAXIMIZE)


def test_the_spec_comes_back_as_it_was_with_its_keys_in_order(bench: Bench) -> None:
    space = {name: {"choice": [1, 2]} for name in ("width", "epochs", "batch_size", "depth")}
    spec = bench.spec(fixed={}, space=space)
    register_study(bench.store, spec, bench.images)
    found = find_registered(bench.store.engine, "first")
    assert found is not None
    assert found.spec == spec
    assert list(found.spec.space) == list(space)


def test_more_trials_add_slots_and_fewer_remove_unclaimed_ones(bench: Bench) -> None:
    study_id = bench.register(trials=2)
    bench.trial(study_id, Outcome("complete", value=0.5))
    bench.register(trials=5)
    assert study_progress(bench.store, study_id) == StudyProgress(waiting=4, complete=1)
    lease = bench.claim(study_id)
    bench.begin(lease)
    release(bench.store, lease)
    bench.claim(study_id)
    bench.register(trials=1)
    # Slot 1 has a trial that somebody began; the others are free again.
    assert [row.slot for row in bench.rows(SlotRow)] == [0, 1]
    (study,) = bench.rows(StudyRow)
    assert study.spec["trials"] == 1


def test_a_changed_study_is_refused_with_every_difference(bench: Bench) -> None:
    bench.register()
    changed = bench.spec(
        seed=7, fixed={"epochs": 4, "width": 8}, space={"lr": {"log": [1e-5, 1.0]}}, trials=9
    )
    with pytest.raises(StudyChangedError) as refused:
        register_study(bench.store, changed, bench.images)
    lines = str(refused.value).splitlines()
    assert sorted(lines[1:-1]) == [
        "  fixed.epochs: 3 -> 4",
        "  fixed.width: (not set) -> 8",
        "  seed: 0 -> 7",
        '  space.activation: {"choice": ["relu", "tanh"]} -> (not set)',
        '  space.lr: {"log": [0.0001, 1.0]} -> {"log": [1e-05, 1.0]}',
    ]
    assert len(bench.rows(SlotRow)) == 3


def test_other_images_are_refused(bench: Bench) -> None:
    bench.register()
    other = replace(bench.images, fingerprint="0" * 64, origin="somewhere else")
    with pytest.raises(StudyChangedError, match=r"ffffffffffff; now synthetic \(somewhere else\)"):
        register_study(bench.store, bench.spec(), other)


def test_a_study_that_hpo_did_not_make_is_left_alone(bench: Bench) -> None:
    with bench.plain_optuna() as storage:
        optuna.create_study(study_name="first", storage=storage)
    with pytest.raises(StudyChangedError, match="was not created by hpo"):
        bench.register()
    assert find_registered(bench.store.engine, "first") is None


def test_progress_counts_every_state(bench: Bench) -> None:
    study_id = bench.register(trials=6)
    for outcome in (Outcome("complete", value=0.5), Outcome("pruned"), Outcome("pruned"), Outcome("failed")):
        bench.trial(study_id, outcome)
    bench.claim(study_id)
    now = study_progress(bench.store, study_id)
    assert now == StudyProgress(waiting=1, running=1, complete=1, pruned=2, failed=1)
    assert (now.done, now.total) == (4, 6)


def test_a_study_deleted_with_optunas_tools_begins_afresh_under_its_name(bench: Bench) -> None:
    study_id = bench.register()
    bench.trial(study_id, Outcome("complete", value=0.9), accuracies=(0.9,))
    with bench.plain_optuna() as storage:
        optuna.delete_study(study_name="first", storage=storage)
    assert find_registered(bench.store.engine, "first") is None
    # Nothing stands in the way of another spec or other images now.
    other = replace(bench.images, fingerprint="0" * 64)
    again = register_study(bench.store, bench.spec(seed=1, trials=2), other)
    assert study_progress(bench.store, again) == StudyProgress(waiting=2)
    assert bench.rows(TrialRow) == []
    assert bench.trial(again, Outcome("complete", value=0.1)) > 0
    assert [trial.value for trial in bench.optuna_trials()] == [0.1]


def test_a_deleted_study_that_optuna_made_again_is_not_taken_for_ours(bench: Bench) -> None:
    """SQLite gives the new study the old one's id."""
    bench.trial(bench.register(), Outcome("complete", value=0.9))
    with bench.plain_optuna() as storage:
        optuna.delete_study(study_name="first", storage=storage)
        theirs = optuna.create_study(study_name="first", storage=storage)
        theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StudyChangedError, match="was not created by hpo"):
        bench.register()


def test_lower_settings_of_a_study_that_has_begun_are_pointed_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.workers.submit.choose_images", lambda spec: ChosenImages("synthetic", STANDARD))
    monkeypatch.setattr("hpo.workers.submit.load_chosen_images", lambda spec, chosen: blank_dataset())
    assert submit_study(bench.store, bench.spec(trials=4, keep_best=3)).warnings == ()
    study_id = bench.register(trials=4, keep_best=3)
    for _ in range(4):
        bench.trial(study_id, Outcome("complete", value=0.5))
    assert submit_study(bench.store, bench.spec(trials=4, keep_best=3)).warnings == ()
    assert submit_study(bench.store, bench.spec(trials=2, keep_best=1)).warnings == (
        "trials is 2, but 4 trials have begun or were enqueued: all of them are kept",
        "keep_best is 1, and was 3: when the next trial ends, the kept weights of other trials are deleted",
    )
    idle: Any = SimpleNamespace(end=lambda: None, count=0)
    spec = bench.spec(trials=2, keep_best=1)
    ended = StudyRun(spec, bench.store.url, idle, StopFlag(), lambda event: None, time.monotonic()).run()
    assert (ended.total, ended.warnings) == (
        4,
        ["trials is 2, but 4 trials have begun or were enqueued: all of them are kept"],
    )


def test_a_new_study_that_is_refused_is_not_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.workers.submit.choose_images", lambda spec: ChosenImages("synthetic", STANDARD))
    monkeypatch.setattr("hpo.workers.submit.load_chosen_images", lambda spec, chosen: blank_dataset())

    class Refusing:
        """A supervisor whose workers refuse the study."""

        def __init__(self, *arguments: Any) -> None: ...

        def run(self) -> None:
            raise UserError("no such network")

    monkeypatch.setattr("hpo.workers.run.Supervisor", Refusing)
    pool: Any = SimpleNamespace(end=lambda: None, count=1)

    def run() -> None:
        with pytest.raises(UserError, match="no such network"):
            StudyRun(bench.spec(), bench.store.url, pool, StopFlag(), lambda event: None, 0.0).run()

    run()
    assert find_registered(bench.store.engine, "first") is None
    bench.register()  # a submitted study is kept
    run()
    assert find_registered(bench.store.engine, "first") is not None


def test_a_study_that_began_or_was_enqueued_to_is_not_withdrawn(bench: Bench) -> None:
    study_id = bench.register()
    enqueue(bench.store, study_id, {"lr": 0.1})
    withdraw_study(bench.store, study_id)
    assert find_registered(bench.store.engine, "first") is not None
    bench.claim(study_id)
    withdraw_study(bench.store, study_id)
    assert study_progress(bench.store, study_id).running == 1
