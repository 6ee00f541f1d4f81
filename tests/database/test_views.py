"""The views, as people ask them."""

from __future__ import annotations

import math
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from sqlalchemy import text

from hpo.config.configuration import Configuration
from hpo.queue.leases import release
from hpo.records import Finding, LayerStatistics, Outcome, Remedy
from tests.database.conftest import Bench


def ask(bench: Bench, sql: str) -> list[Any]:
    with bench.store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_results_has_every_hyperparameter_with_its_type(bench: Bench) -> None:
    study_id = bench.register(fixed={"epochs": 3, "nesterov": True, "depth": 4})
    lease = bench.claim(study_id)
    configuration = Configuration(nesterov=True, depth=4, activation="leaky_relu", lr=1)
    trial_id, _ = bench.store.begin_trial(
        lease, params={}, distributions={}, configuration=configuration.applicable(), device="cpu"
    )
    with bench.store.engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM results")).mappings()
    applicable = configuration.applicable()
    assert {name: row[name] for name in applicable} == applicable
    assert {name: type(row[name]) for name in ("lr", "depth", "activation")} == {
        "lr": float,
        "depth": int,
        "activation": str,
    }
    # What does not apply is NULL: ELU's alpha under leaky ReLU, Adam's beta under SGD.
    assert (row["negative_slope"], row["elu_alpha"], row["beta1"]) == (0.01, None, None)
    assert (row["study"], row["stage"], row["number"], row["state"]) == ("first", "main", 0, "running")
    assert (row["value"], row["finished"], row["trial_id"]) == (None, None, trial_id)
    assert list(row)[:9] == [
        "study",
        "stage",
        "number",
        "state",
        "value",
        "best_value",
        "best_epoch",
        "test_value",
        "verdict",
    ]
    assert ask(bench, "SELECT number FROM results WHERE nesterov AND lr >= 0.5 AND batch_size = 64") == [(0,)]


def test_every_state_of_a_trial_has_its_word(bench: Bench) -> None:
    study_id = bench.register(trials=5)
    for outcome in (Outcome("complete", value=0.5), Outcome("pruned"), Outcome("failed")):
        bench.trial(study_id, outcome)
    bench.begin(bench.claim(study_id))
    interrupted = bench.claim(study_id)
    bench.begin(interrupted)
    release(bench.store, interrupted)
    assert ask(bench, "SELECT number, state FROM results ORDER BY number") == [
        (0, "complete"),
        (1, "pruned"),
        (2, "failed"),
        (3, "running"),
        (4, "waiting"),
    ]


def test_the_leaderboard_ranks_within_each_study_and_equals_share_a_rank(bench: Bench) -> None:
    for name, values in [("first", [0.5, 0.7, 0.5]), ("second", [0.1])]:
        study_id = bench.register(name, trials=4)
        for value in values:
            bench.trial(study_id, Outcome("complete", value=value))
        bench.trial(study_id, Outcome("pruned", value=0.99)) if name == "first" else None
    assert ask(bench, "SELECT study, rank, number, value FROM leaderboard ORDER BY study, rank, number") == [
        ("first", 1, 1, 0.7),
        ("first", 2, 0, 0.5),
        ("first", 2, 2, 0.5),
        ("second", 1, 0, 0.1),
    ]


def test_curves_findings_layers_and_attempts_carry_study_and_number(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1, 0.25, val_loss=math.nan))
    finding = Finding(
        "dead_units", "warn", 0.5, 0.4, "half is dead", Remedy("lower lr"), step=20, epoch=1, layer="conv2"
    )
    bench.store.record_findings(lease, trial_id, [finding])
    bench.store.record_layers(
        lease, trial_id, [LayerStatistics("conv2", step=20, epoch=1, position=2, dead=0.5)]
    )
    assert ask(bench, "SELECT study, number, epoch, val_accuracy, val_loss, lr FROM curves") == [
        ("first", 0, 1, 0.25, None, 0.1)
    ]
    assert ask(
        bench, "SELECT study, number, check_name, severity, step, layer, value, remedy FROM findings"
    ) == [("first", 0, "dead_units", "warn", 20, "conv2", 0.5, "lower lr")]
    assert ask(bench, "SELECT study, number, step, position, layer, dead FROM layers") == [
        ("first", 0, 20, 2, "conv2", 0.5)
    ]
    assert ask(bench, "SELECT study, number, attempt, outcome, host, pid, device FROM attempts") == [
        ("first", 0, 1, None, "host", 1, "cpu")
    ]


def test_params_decodes_studies_that_hpo_did_not_make(bench: Bench) -> None:
    choices = ["relu", None, True, False, 3, 0.1, 1e-05, 'say "no", ]', "NaN"]

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 1e-5, 1.0, log=True)
        trial.suggest_int("layers", 1, 5)
        trial.suggest_categorical("odd", choices)
        trial.set_user_attr("why", "not")
        return trial.number / 4

    with bench.plain_optuna() as storage:
        study = optuna.create_study(study_name="theirs", storage=storage)
        for choice in choices:
            study.enqueue_trial({"lr": 0.001, "layers": 3, "odd": choice})
        study.optimize(objective, n_trials=len(choices))
        study.add_trial(
            optuna.create_trial(
                params={"wild": math.inf},
                distributions={"wild": CategoricalDistribution([math.nan, math.inf])},
                state=optuna.trial.TrialState.FAIL,
            )
        )
    sql = (
        "SELECT number, state, value, value_text, value_number FROM params WHERE param = '{}' ORDER BY number"
    )
    assert ask(bench, sql.format("lr"))[1] == (1, "complete", 0.25, "0.001", 0.001)
    assert ask(bench, sql.format("layers"))[2] == (2, "complete", 0.5, "3", 3.0)
    assert [row[3:] for row in ask(bench, sql.format("odd"))] == [
        ("relu", None),
        ("null", None),
        ("true", None),
        ("false", None),
        ("3", 3.0),
        ("0.1", 0.1),
        ("1e-05", 1e-05),
        ('say "no", ]', None),
        ("NaN", None),
    ]
    # Optuna writes NaN and Infinity into the JSON, where no database can read them.
    assert ask(bench, sql.format("wild")) == [(9, "failed", None, None, None)]


def test_params_has_our_studies_too(bench: Bench) -> None:
    bench.trial(bench.register(), Outcome("complete", value=0.5), lr=0.01, activation="tanh")
    sql = "SELECT study, number, param, value_text, value_number FROM params ORDER BY param"
    assert ask(bench, sql) == [
        ("first", 0, "activation", "tanh", None),
        ("first", 0, "lr", "0.01", 0.01),
    ]


def test_what_optuna_no_longer_has_is_in_no_view(bench: Bench) -> None:
    """Also not when another study gets the deleted one's id, as on SQLite."""
    bench.trial(bench.register(), Outcome("complete", value=0.9), accuracies=(0.9,))
    views = ("results", "curves", "attempts", "leaderboard", "params")
    assert all(ask(bench, f"SELECT * FROM {view}") for view in views)
    with bench.plain_optuna() as storage:
        optuna.delete_study(study_name="first", storage=storage)
        assert not any(ask(bench, f"SELECT * FROM {view}") for view in views)
        optuna.create_study(study_name="theirs", storage=storage).add_trial(optuna.create_trial(value=1.0))
    assert not any(ask(bench, f"SELECT * FROM {view}") for view in views)
