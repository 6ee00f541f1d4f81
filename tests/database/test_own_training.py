"""A study of the user's own training in the database: no data set, and parameters of any name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json
from sqlalchemy import select
from sqlalchemy import text as sql

import hpo
from hpo.config.own_training import UserConfiguration
from hpo.config.parsing.load import parse_study
from hpo.config.space import Choice, Uniform
from hpo.config.study import StudySpec
from hpo.config.write import study_text
from hpo.diagnosis.importance import importance
from hpo.diagnosis.trials import study_results
from hpo.errors import ConfigurationError, StudyChangedError, UserError
from hpo.maintenance.check import check_database
from hpo.queries.stages import has_images, stages_status
from hpo.queue.enqueue import enqueue
from hpo.queue.leases import claim
from hpo.queue.scheduling import open_studies
from hpo.records import Outcome, reported_epoch
from hpo.reporting.report.appendix import checks_section
from hpo.reporting.report.build import make_report
from hpo.reporting.report.data import read_report_data
from hpo.search.suggest import RegisteredTrial, Suggestions
from hpo.stages.advance import advance, evaluate_on_test, refined_study
from hpo.stages.store import find_stage
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.storage.suggested import StoredParameter, parameters_of, record_suggested
from hpo.storage.tables import CandidateRow, DecisionRow, StageRow, StudyRow, TrialRow
from hpo.workers.submit import submit_study
from tests.conftest import NewDatabase
from tests.database.conftest import Bench

TEXT = """
study: mine
trainer: my_package.train:run
fixed: {epochs: 9, dataset: theirs}
space:
  rate: {log: [1e-4, 1]}
  kind: {choice: [null, tree, net]}
  depth: {int: [1, 4], when: {kind: net}}
"""
STAGES = """
stages:
  - {name: coarse, trials: 8, epochs: 2, data: 0.5}
  - {name: fine, trials: 4, epochs: 4, carry: 1}
  - {name: confirm, epochs: 6, confirm: {top: 2, seeds: 2}}
"""


@pytest.fixture
def store(new_database: NewDatabase) -> Iterator[ResultsStore]:
    with ResultsStore(new_database("sqlite")) as opened:
        yield opened


def _spec(rest: str = "trials: 4\n") -> StudySpec:
    return parse_study(TEXT + rest, "mine.yaml")


def _begin(store: ResultsStore, study_id: int) -> tuple[Any, RegisteredTrial, StudySpec]:
    lease = claim(store, study_id, "host:1:0.00", 60.0)
    assert lease is not None
    found = find_registered(store.engine, "mine")
    assert found is not None
    stage = store.read(lambda connection: find_stage(connection, study_id, found.spec, lease.stage))
    suggestions = Suggestions(store, study_id, found.spec.space)
    trial = suggestions.begin(lease, stage.spec, lease.given, images=found.images, device="cpu")
    return lease, trial, stage.spec


def _train(store: ResultsStore, study_id: int, value: float) -> RegisteredTrial:
    lease, trial, _ = _begin(store, study_id)
    store.begin_attempt(lease, trial.trial_id, device="cpu", from_epoch=0)
    store.record_epoch(lease, trial.trial_id, reported_epoch(1, {"val_accuracy": value}, 0.1))
    store.finish_trial(lease, trial.trial_id, Outcome("complete", value=value))
    return trial


def test_a_submitted_study_has_no_data_set(store: ResultsStore) -> None:
    submitted = submit_study(store, _spec())
    assert (submitted.dataset, submitted.is_new, submitted.progress.waiting) == ("", True, 4)
    assert submitted.origin == "your own training, my_package.train:run"
    with store.engine.connect() as connection:
        row = connection.execute(select(StudyRow.__table__)).one()
    assert (row.dataset, row.dataset_fingerprint, row.classes, row.train_images) == ("", "", None, None)
    assert not submit_study(store, _spec("trials: 5\nlimits: {minutes: 3}\n")).is_new
    with pytest.raises(StudyChangedError, match=r"fixed\.epochs: 9 -> 8"):
        submit_study(store, parse_study(TEXT + "trials: 4\n", "mine.yaml", ["epochs=8"]))
    with pytest.raises(StudyChangedError, match="trainer"):
        submit_study(store, parse_study(TEXT + "trials: 4\n", "mine.yaml", ["trainer=other:run"]))


def test_a_trial_is_drawn_once_and_read_back(store: ResultsStore) -> None:
    study_id = submit_study(store, _spec()).study_id
    lease, trial, spec = _begin(store, study_id)
    assert isinstance(trial.configuration, UserConfiguration)
    values = trial.configuration.values
    assert values["dataset"] == "theirs" and values["epochs"] == 9
    assert ("depth" in values) == (values["kind"] == "net")
    again = Suggestions(store, study_id, spec.space).begin(lease, spec, {}, images={}, device="cpu")
    assert again == trial
    with store.engine.connect() as connection:
        (stored,) = connection.scalars(select(TrialRow.configuration))
    assert stored == values


def test_an_enqueued_configuration_is_trained_as_given(store: ResultsStore) -> None:
    study_id = submit_study(store, _spec()).study_id
    enqueue(store, study_id, {"kind": None, "rate": 2.0, "dataset": "other"})
    _, trial, _ = _begin(store, study_id)
    assert trial.configuration.applicable() == {"epochs": 9, "dataset": "other", "kind": None, "rate": 2.0}


@pytest.mark.parametrize(
    "sampler", ["sobol", "{tpe: {startup: 2}}", "{gp: {startup: 2}}", "{cmaes: {startup: 2}}"]
)
def test_samplers_draw_from_names_of_the_users_own(store: ResultsStore, sampler: str) -> None:
    study_id = submit_study(store, _spec(f"trials: 4\nsampler: {sampler}\n")).study_id
    for value in (0.5, 0.6, 0.7, 0.8):
        drawn = _train(store, study_id, value).values
        assert 1e-4 <= drawn["rate"] <= 1
        assert ("depth" in drawn) == (drawn["kind"] == "net")


def test_a_grid_trains_each_point_once(store: ResultsStore) -> None:
    text = "trials: 6\nsampler: grid\n"
    study_id = submit_study(
        store, parse_study(TEXT.replace("  rate: {log: [1e-4, 1]}\n", "") + text, "mine.yaml")
    ).study_id
    drawn = [_begin(store, study_id)[1].values for _ in range(6)]
    assert drawn == [{"kind": None}, {"kind": "tree"}, *({"kind": "net", "depth": n} for n in (1, 2, 3, 4))]


def test_stages_end_with_the_confirmation(store: ResultsStore) -> None:
    study_id = submit_study(store, _spec(STAGES)).study_id
    best = max((_train(store, study_id, 0.5 + slot / 100) for slot in range(8)), key=lambda t: t.number)
    assert best.configuration.epochs == 2
    assert advance(store, "mine")
    carried = _train(store, study_id, 0.7)
    assert carried.configuration.applicable() == {**best.configuration.applicable(), "epochs": 4}
    for _ in range(3):
        trial = _train(store, study_id, 0.6)
        assert 1e-4 <= trial.values["rate"] <= 1
    assert advance(store, "mine")
    found = find_registered(store.engine, "mine")
    assert found is not None
    confirm = store.read(lambda connection: find_stage(connection, study_id, found.spec, "confirm"))
    coarse = store.read(lambda connection: find_stage(connection, study_id, found.spec, "coarse"))
    assert (coarse.data, confirm.data) == (0.5, 1.0)
    for _ in range(4):
        assert _train(store, study_id, 0.8).configuration.epochs == 6
    # Its slots are done, but its candidates are not ranked yet.
    assert [each.name for each in open_studies(store)] == ["mine"]
    assert not advance(store, "mine")
    assert open_studies(store) == []
    with store.engine.connect() as connection:
        assert set(connection.scalars(select(CandidateRow.rank))) == {1, 2}
    assert submit_study(store, found.spec).progress.total == 16
    with store.engine.connect() as connection:
        stages = connection.execute(select(StageRow.stage, StageRow.trials, StageRow.train_images)).all()
        messages = connection.scalars(select(DecisionRow.message).where(DecisionRow.stage == "test")).all()
    assert stages == [("coarse", 8, None), ("fine", 4, None), ("confirm", 4, None), ("test", 0, None)]
    assert messages[0].startswith("trial ") and not any("test images" in each for each in messages)
    shown = stages_status(store.engine, "mine")
    assert [each.stage for each in shown.stages] == ["coarse", "fine", "confirm"]
    assert {each.stage for each in shown.decisions} == {"fine", "confirm"}  # with the result
    assert not has_images(shown.stages)
    report = read_report_data(store.engine, "mine")
    assert not report.is_running
    axes = {each.name: each.label for each in report.picture.axes}
    assert axes["depth"] == "depth" and axes["rate"] == "rate (log scale)"


def test_what_needs_images_is_refused_in_words() -> None:
    with pytest.raises(
        ConfigurationError, match=r"study mine is of your own training \(my_package.train:run\)"
    ):
        _spec().image_configuration({})


def test_columns_of_results_hold_values_of_their_type_only(bench: Bench) -> None:
    text = TEXT.replace("rate", "lr")
    given = {"lr": 0.5, "width": 2.5, "batch_size": "all", "nesterov": 1, "model": False, "epochs": 3}
    fixed = "".join(f", {name}: {value}" for name, value in given.items() if name not in ("lr", "epochs"))
    text = text.replace("dataset: theirs", f"dataset: theirs{fixed.replace('False', 'false')}")
    study_id = submit_study(bench.store, parse_study(text + "trials: 1\n", "mine.yaml")).study_id
    enqueue(bench.store, study_id, {"kind": "net", "lr": 0.5, "depth": 3})
    _begin(bench.store, study_id)
    columns = "lr, depth, width, batch_size, nesterov, model, dataset, configuration"
    with bench.store.engine.connect() as connection:
        row = connection.execute(sql(f"SELECT {columns} FROM results")).one()
        drawn = connection.execute(sql("SELECT param, value_text FROM params ORDER BY param")).all()
    assert tuple(row[:7]) == (0.5, 3, None, None, None, None, "theirs")
    assert json.loads(row.configuration)["width"] == 2.5
    assert [tuple(each) for each in drawn] == [("depth", "3"), ("kind", "net"), ("lr", "0.5")]


def test_drawn_parameters_are_added_to_the_trial_and_to_its_study(bench: Bench) -> None:
    text = "study: mine\ntrainer: a:b\ninterface: optuna\ntrials: 2\nsampler: tpe\n"
    spec = parse_study(f"{text}objective: value\ndirection: minimize\n", "mine.yaml")
    study_id = submit_study(bench.store, spec).study_id
    lease, trial, _ = _begin(bench.store, study_id)
    drawn = {
        "x": StoredParameter(0.5, distribution_to_json(FloatDistribution(0, 1))),
        "k": StoredParameter(1, distribution_to_json(CategoricalDistribution(["a", None]))),
    }
    for each in (drawn, drawn):  # a retry writes nothing twice
        record_suggested(bench.store, lease, trial.trial_id, each, {"note": [1, "two"]})
    wider = {"x": StoredParameter(3.0, distribution_to_json(FloatDistribution(-2, 4)))}
    other, second, _ = _begin(bench.store, study_id)
    record_suggested(bench.store, other, second.trial_id, wider, {})
    assert parameters_of(bench.store, [trial.trial_id, second.trial_id]) == {
        trial.trial_id: drawn,
        second.trial_id: wider,
    }
    assert bench.store.trial_of(lease) == (trial.trial_id, 0, {"x": 0.5, "k": None})
    (seen, _) = optuna.load_study(study_name="mine", storage=bench.store.url).trials
    assert seen.params == {"x": 0.5, "k": None} and seen.user_attrs["note"] == [1, "two"]
    assert submit_study(bench.store, spec.model_copy(update={"trials": 3})).study_id == study_id
    found = find_registered(bench.store.engine, "mine")
    assert found is not None
    assert found.spec.space == {"x": Uniform(uniform=(-2, 4)), "k": Choice(choice=["a", None])}


def test_what_images_alone_have_is_refused(store: ResultsStore) -> None:
    study_id = submit_study(store, _spec()).study_id
    number = _train(store, study_id, 0.5).number
    assert check_database(store.url) == []  # no images: no statistics of theirs
    mine = r"study mine is of your own training \(my_package\.train:run\): it "
    with pytest.raises(UserError, match=mine + "has no test images"):
        evaluate_on_test(store, "mine", number)


def test_a_new_study_is_diagnosed_and_refined(store: ResultsStore) -> None:
    study_id = submit_study(store, _spec("trials: 12\n")).study_id
    for slot in range(12):
        _train(store, study_id, slot / 12)
    assert importance(study_results(store.engine, "mine"))
    refined, lines = refined_study(store.engine, "mine", 0.25)
    assert refined.is_own and refined.trainer == "my_package.train:run"
    low, high = refined.space["rate"].bounds  # type: ignore[union-attr]
    assert 1e-4 <= low < high <= 1  # never beyond the file's range
    assert any(line.startswith("  rate: ") for line in lines)
    assert parse_study(study_text(refined), "refined.yaml") == refined


def test_a_frame_has_the_parameters_as_columns(store: ResultsStore) -> None:
    text = TEXT.replace("epochs: 9", "epochs: 9, value: 7, ready: true") + "trials: 3\n"
    study_id = submit_study(store, parse_study(text, "mine.yaml")).study_id
    drawn = [_train(store, study_id, 0.5).values for _ in range(3)]
    with hpo.open_results(store.url) as opened:
        frame = opened.results("mine")
        everything = opened.results()
    at = list(frame.columns).index("epochs_done") + 1
    names = ["epochs", "param_value", "ready", "dataset", "rate", "kind", "depth"]
    assert list(frame.columns)[at : at + len(names)] == names
    assert list(frame.rate) == [each["rate"] for each in drawn]
    assert list(frame.param_value) == [7, 7, 7] and list(frame.value) == [0.5] * 3
    assert list(frame.depth.isna()) == ["depth" not in each for each in drawn]
    assert (str(frame.ready.dtype), str(frame.epochs.dtype)) == ("boolean", "Int64")
    assert "optimizer" in everything and "rate" not in everything


def test_a_report_names_the_training_in_place_of_images(store: ResultsStore) -> None:
    study_id = submit_study(store, _spec()).study_id
    for value in (0.5, 0.75, 0.25):
        _train(store, study_id, value)
    text = make_report(store.url, "mine", "md").text
    assert "A search over 3 hyperparameters of the training my_package.train:run" in text
    assert "rate" in text and "0.7500" in text
    assert "test images" not in text and "image fingerprint" not in text
    assert "same configurations" in text and "up to the training" in text and "bit for bit" not in text
    assert "torchvision" in text
    data = read_report_data(store.engine, "mine")
    assert checks_section(replace(data, checks={"a_rule_of_no_lesson": {"pass": 1}})) is None


def test_a_report_on_a_command_has_no_packages_of_hpo(store: ResultsStore) -> None:
    text = TEXT.replace("trainer: my_package.train:run", "command: [./train]") + "trials: 4\n"
    _train(store, submit_study(store, parse_study(text, "mine.yaml")).study_id, 0.5)
    report = make_report(store.url, "mine", "md").text
    assert "| hpo | " in report and "torch" not in report and "bit for bit" not in report
