"""`hpo repeat` of trainings of the user's own: by function, by command, and with Optuna's interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.app import run_command
from hpo.config.study import StudySpec
from hpo.trainer.process import end_trainer_process
from tests.conftest import NewDatabase
from tests.helpers import own_command, own_training
from tests.helpers.own_training import rows, run

Capture = pytest.CaptureFixture[str]
OBJECTIVE = """
import random

def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        x += trial.suggest_int("n", 1, 3)
    trial.report(x, 0)
    print("a line of the objective")
    return x + random.random()
"""


@pytest.fixture(autouse=True)
def _own_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    own_training.write_trainer(tmp_path)
    own_command.write_script(tmp_path)
    (tmp_path / "repeat_objective.py").write_text(OBJECTIVE)
    monkeypatch.chdir(tmp_path)
    yield
    end_trainer_process()


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("sqlite")


def repeat(capfd: Capture, url: str, number: int = 0, code: int = 0) -> dict[str, Any]:
    capfd.readouterr()
    assert run_command(["repeat", "s", str(number), "--json", "--storage", url]) == code
    answer: dict[str, Any] = json.loads(capfd.readouterr().out)
    return answer


def test_a_function_repeats_bit_for_bit(url: str, capfd: Capture) -> None:
    run(url, own_training.spec("s", ["sound", "saving"]))
    before = rows(url, "SELECT * FROM results")
    for number in (0, 1):
        answer = repeat(capfd, url, number)
        assert answer["matches"] and answer["same_curve"] and answer["same_value"]
        assert answer["value_now"] == answer["value_then"] != 0
        assert [each["differences"] for each in answer["epochs"]] == [{}] * 3
    assert repeat(capfd, url)["same_weights"]
    assert rows(url, "SELECT * FROM results") == before
    assert run_command(["repeat", "s", "0", "--storage", url]) == 0
    assert "matches bit for bit: 3 epochs, the value (" in capfd.readouterr().out


def test_another_training_is_told_from_the_stored_one(url: str, tmp_path: Path, capfd: Capture) -> None:
    run(url, own_training.spec("s", ["sound"]))
    changed = own_training.TRAINER.replace('state["weight"] * 0.9', 'state["weight"] * 0.8')
    own_training.write_trainer(tmp_path, changed)
    answer = repeat(capfd, url, code=1)
    assert not answer["same_curve"] and not answer["same_weights"] and not answer["same_value"]
    assert answer["epochs"][1]["differences"].keys() >= {"val_accuracy"}
    assert "version of your own code" in answer["reason"]
    own_training.write_trainer(tmp_path, changed.replace("trial.keep(", "trial.missing("))
    assert "AttributeError" in repeat(capfd, url, code=1)["failure"]


def test_what_ended_early_is_repeated_as_far_as_it_came(url: str, capfd: Capture) -> None:
    rates: dict[str, Any] = {"space": {"lr": {"choice": [0.1, 0.9, 0.3, 0.5]}}, "trials": 4}
    run(url, own_training.spec("s", ["sound"], pruner={"asha": {"reduction": 2}}, **rates))
    (number, epochs) = rows(url, "SELECT number, epochs_done FROM results WHERE state = 'pruned'")[0]
    answer = repeat(capfd, url, number)
    assert answer["matches"] and answer["same_value"] is None and len(answer["epochs"]) == epochs < 3


def test_a_command_repeats_with_its_output_kept_apart(url: str, capfd: Capture) -> None:
    run(url, own_command.spec("s", ["sound", "failing"]))
    number = rows(url, "SELECT number FROM results WHERE state = 'complete'")[0][0]
    answer = repeat(capfd, url, number)
    assert answer["matches"] and answer["same_value"] and answer["same_weights"] is None
    assert run_command(["repeat", "s", str(1 - number), "--storage", url]) == 2
    assert "has no epochs to compare (failed" in capfd.readouterr().err


def test_an_objective_for_optuna_is_given_what_it_drew(url: str, capfd: Capture) -> None:
    document = {"study": "s", "trainer": "repeat_objective:objective", "interface": "optuna", "trials": 3}
    run(url, StudySpec.model_validate({**document, "objective": "value", "direction": "minimize"}))
    for number in range(3):
        answer = repeat(capfd, url, number)
        assert answer["matches"] and answer["same_value"] and answer["same_curve"]
