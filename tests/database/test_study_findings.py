"""Findings about a whole study, stored: on both databases, as often as one likes, by anyone."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from hpo.diagnosis.refresh import refresh_findings
from hpo.diagnosis.trials import study_results
from hpo.errors import UnknownStudyError
from hpo.records import Finding, Outcome, Remedy
from hpo.storage.store import ResultsStore
from hpo.storage.tables import STUDY_FINDINGS
from tests.database.conftest import Bench

LR = {"lr": {"log": [1e-4, 1.0]}, "activation": {"choice": ["relu", "tanh"]}}
EXPLODED = Outcome("pruned", verdict="exploded: loss", cause="exploding_loss")
LRS = [10 ** (-4 + 4 * i / 23) for i in range(24)]


def good(lr: float) -> Outcome:
    return Outcome("complete", value=0.5 - lr, verdict="healthy", cause="healthy")


def a_study_that_explodes_above(bench: Bench, threshold: float, lrs: list[float], name: str = "first") -> int:
    study_id = int(bench.register(name, trials=40, space=LR))
    for lr in lrs:
        bench.trial(study_id, EXPLODED if lr > threshold else good(lr), lr=lr)
    return study_id


def ask(bench: Bench, sql: str) -> list[Any]:
    with bench.store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_the_view_has_what_the_trials_say(bench: Bench) -> None:
    a_study_that_explodes_above(bench, 0.1, LRS)
    found = refresh_findings(bench.store, "first")
    assert found[0].message == "lr above 0.1: 6 of 6 exploded; elsewhere 0 of 18"
    columns = "study, position, check_name, severity, message, remedy, trials_seen"
    rows = ask(bench, f"SELECT {columns} FROM study_findings ORDER BY position")
    assert rows[0] == (
        "first", 1, "failures", "warn", found[0].message, "narrow lr to {log: [1e-4, 0.1]}", 24,
    )  # fmt: skip
    assert [row[1] for row in rows] == list(range(1, len(found) + 1))
    (change, evidence) = ask(bench, "SELECT change, evidence FROM study_findings WHERE position = 1")[0]
    change, evidence = (json.loads(each) if isinstance(each, str) else each for each in (change, evidence))
    assert change == {"space": {"lr": {"log": [1e-4, 0.1]}}}
    assert evidence["where"] == [{"name": "lr", "above": 0.1}]
    assert (evidence["hits"], evidence["trials"], evidence["cause"]) == (6, 6, "exploding_loss")


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_what_most_trials_note_about_their_data_is_a_finding(bench: Bench) -> None:
    study_id = int(bench.register("first", trials=4, space=LR))
    for number in range(4):
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease, lr=0.01)
        noted = Finding("label_signal", "note", number / 100, 0.15, "the splits differ", Remedy("look"))
        passed = replace(noted, check="split_gap", severity="pass", message="the splits are alike")
        bench.store.record_findings(lease, trial_id, [noted, passed])
        bench.store.finish_trial(lease, trial_id, good(0.01))
    found = refresh_findings(bench.store, "first")
    assert [each.message for each in found if each.check == "data"] == [
        "4 of 4 trials suspect the data they share: the splits differ"
    ]


def test_a_refresh_replaces_what_was_reported_before(bench: Bench) -> None:
    study_id = a_study_that_explodes_above(bench, 0.1, LRS)
    first = refresh_findings(bench.store, "first")
    assert refresh_findings(bench.store, "first") == first
    assert len(bench.rows(STUDY_FINDINGS)) == len(first)
    for lr in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        bench.trial(study_id, good(lr), lr=lr)
    refresh_findings(bench.store, "first")
    rows = bench.rows(STUDY_FINDINGS)
    assert {row.trials_seen for row in rows} == {32}
    assert not any("exploded" in row.message for row in rows)


def test_studies_do_not_mix(bench: Bench) -> None:
    a_study_that_explodes_above(bench, 0.1, LRS)
    a_study_that_explodes_above(bench, 0.1, [lr / 10 for lr in LRS], "second")
    for name in ("first", "second"):
        refresh_findings(bench.store, name)
    assert ask(bench, "SELECT DISTINCT study FROM study_findings WHERE check_name = 'failures'") == [
        ("first",)
    ]


def test_only_trials_that_have_ended_count(bench: Bench) -> None:
    study_id = a_study_that_explodes_above(bench, 0.1, LRS)
    bench.begin(bench.claim(study_id))
    results = study_results(bench.store.engine, "first")
    assert [trial.number for trial in results.trials] == list(range(24))
    assert (results.classes, results.train_images, results.val_images) == (10, 50_000, 5_000)
    assert [trial.values["lr"] for trial in results.trials] == LRS


def test_the_seconds_of_a_trial_are_those_of_its_attempts(bench: Bench) -> None:
    study_id = bench.register(space=LR)
    trial_id = bench.trial(study_id, good(0.1))
    with bench.store.engine.begin() as connection:
        for begun, ended in (("2026-01-01 10:00:00", "2026-01-01 10:00:05"),):
            connection.execute(
                text(
                    "UPDATE hpo_attempt SET started_at = :begun, ended_at = :ended WHERE trial_id = :trial_id"
                ),
                {"begun": begun, "ended": ended, "trial_id": trial_id},
            )
    (trial,) = study_results(bench.store.engine, "first").trials
    assert trial.seconds == 5.0


def test_a_hyperparameter_that_does_not_apply_has_no_value(bench: Bench) -> None:
    space = {
        "lr": {"log": [1e-4, 1.0]},
        "optimizer": {"choice": ["sgd", "adam"]},
        "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
        "gradient_clip": {"choice": [None, 1.0]},
    }
    study_id = bench.register(space=space)
    for drawn in ({"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.7, "gradient_clip": 1.0}):
        lease = bench.claim(study_id)
        configuration = bench.spec(space=space).configuration({"lr": 0.1, **drawn}).applicable()
        trial_id, _ = bench.store.begin_trial(
            lease, params={}, distributions={}, configuration=configuration, device="cpu"
        )
        bench.store.finish_trial(lease, trial_id, good(0.1))
    adam, sgd = study_results(bench.store.engine, "first").trials
    assert adam.values == {"lr": 0.1, "optimizer": "adam", "gradient_clip": None}
    assert sgd.values == {"lr": 0.1, "optimizer": "sgd", "momentum": 0.7, "gradient_clip": 1.0}


def test_a_study_before_its_first_trial_has_nothing_to_say(bench: Bench) -> None:
    bench.register()
    assert refresh_findings(bench.store, "first") == []


def test_an_unknown_study_is_refused(bench: Bench) -> None:
    bench.register()
    with pytest.raises(UnknownStudyError, match="there is no study frist in this database"):
        refresh_findings(bench.store, "frist")


def test_many_may_refresh_at_once(bench: Bench) -> None:
    a_study_that_explodes_above(bench, 0.1, LRS)
    failures: list[BaseException] = []

    def refresh() -> None:
        try:
            with ResultsStore(bench.store.url) as store:
                refresh_findings(store, "first")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    positions = [row.position for row in bench.rows(STUDY_FINDINGS)]
    assert sorted(positions) == list(range(1, len(positions) + 1))


def test_a_deleted_studys_findings_disappear(bench: Bench) -> None:
    a_study_that_explodes_above(bench, 0.1, LRS)
    assert refresh_findings(bench.store, "first")
    with bench.plain_optuna() as storage:
        storage.delete_study(storage.get_study_id_from_name("first"))
    assert ask(bench, "SELECT * FROM study_findings") == []
