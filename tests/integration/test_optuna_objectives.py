"""An objective that is written for Optuna is trained as Optuna would, under leases."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.app import run_command
from hpo.config.study import StudySpec
from hpo.trainer.process import end_trainer_process
from tests.helpers.own_training import rows, run

OBJECTIVE = '''
import os, signal
from pathlib import Path
import optuna


def objective(trial: optuna.Trial) -> float:
    assert isinstance(trial, optuna.Trial)
    x = trial.suggest_float("x", -10, 10)
    assert trial.suggest_float("x", -10, 10) == x and trial.params["x"] == x
    return PARTS.get(trial.number, parabola)(trial, x)


def parabola(trial, x):
    if trial.suggest_categorical("kind", ["a", None]) == "a":
        trial.suggest_float("only a[0]", 1e-3, 1, log=True)
    return (x - 2) ** 2


def raising(trial, x):
    raise ValueError("no such file: sesame")


def two_values(trial, x):
    return x, x


def nothing(trial, x):
    return None


def other_kind(trial, x):
    trial.suggest_categorical("x", [1, 2])


def pruned(trial, x):
    trial.report(5.0, 0)
    raise optuna.TrialPruned("enough")


def killed(trial, x):
    mark = Path("killed")
    if not mark.exists():
        trial.suggest_int("n", 1, 3, step=2)
        trial.report(1.0, 0)
        mark.write_text(repr(x))
        os.kill(os.getpid(), signal.SIGKILL)
    assert float(mark.read_text()) == x
    return trial.suggest_int("n", 1, 3, step=2)


def reporting(trial, x):
    for step in (10, 20, 30, 30):
        trial.report(step / 10, step)
    trial.set_user_attr("sizes", {"a": [1]})
    assert trial.suggest_int("n", 2, 9) >= 2
    return 1.5


def looking(trial, x):
    """Returns how many trials Optuna sees ended, and checks that they are whole."""
    done = trial.study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert trial.study.direction == optuna.study.StudyDirection.MINIMIZE
    assert trial.study.best_value == min(each.value for each in done)
    assert all(each.distributions["x"] == optuna.distributions.FloatDistribution(-10, 10) for each in done)
    states = [each.state.name for each in trial.study.trials]
    return states.count("COMPLETE") * 100 + states.count("FAIL") * 10 + states.count("PRUNED")


def crashing(trial, x):
    import ctypes
    ctypes.string_at(0)


PARTS = {
    1: raising, 2: two_values, 3: nothing, 4: other_kind, 5: pruned, 6: killed, 7: reporting, 8: looking,
    9: crashing,
}
'''

MEDIAN = '''
import optuna


def objective(trial):
    """The later, the worse."""
    for step in range(3):
        trial.report(trial.number + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return trial.number
'''


def _spec(name: str, module: str, **changes: Any) -> StudySpec:
    document = {
        "study": name, "trainer": f"{module}:objective", "interface": "optuna", "objective": "value",
        "direction": "minimize", "sampler": "tpe", "trials": 10, "max_consecutive_failures": 100,
    }  # fmt: skip
    return StudySpec.model_validate(document | changes)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with both studies."""
    folder = tmp_path_factory.mktemp("objectives")
    (folder / "mine_objective.py").write_text(OBJECTIVE)
    (folder / "mine_median.py").write_text(MEDIAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        url = f"sqlite:///{folder / 'test.db'}"
        run(url, _spec("mine", "mine_objective"))
        run(url, _spec("pruning", "mine_median", trials=6, pruner={"median": {"min_trials": 3}}))
        yield url
        end_trainer_process()


def _results(url: str, *columns: str, study: str = "mine") -> list[Any]:
    found = rows(
        url, f"SELECT {', '.join(columns)} FROM results WHERE study = :study ORDER BY number", study=study
    )
    return [each[0] for each in found] if len(columns) == 1 else found


def test_trials_end_as_optuna_would_end_them(database: str) -> None:
    assert _results(database, "state") == [
        "complete", "failed", "failed", "failed", "failed", "pruned", "complete", "complete", "complete",
        "failed",
    ]  # fmt: skip
    verdicts = _results(database, "verdict")
    for number, part in {
        1: "ValueError: no such file: sesame",
        2: "returned 2 values; hpo optimizes one objective: return one number",
        3: "the objective returned None",
        4: "Cannot set different distribution kind to the same parameter name",
        5: "stopped early: the training raised TrialPruned",
        9: "killed by signal SIGSEGV",
    }.items():
        assert part in verdicts[number]
    assert _results(database, "value")[7:9] == [1.5, 341.0]


def test_parameters_appear_when_they_are_drawn(database: str) -> None:
    values = [json.loads(each) for each in _results(database, "configuration")]
    assert all(-10 <= each["x"] <= 10 for each in values)
    assert values[6]["n"] in (1, 3) and values[7]["n"] >= 2 and "n" not in values[0]
    assert all(("only a[0]" in each) == (each["kind"] == "a") for each in (values[0],))
    ((spec,),) = rows(database, "SELECT spec FROM hpo_study WHERE name = 'mine'")
    space = json.loads(spec)["space"]
    assert space["x"]["uniform"] == [-10, 10] and space["n"]["int"] == [1, 9]
    stored = rows(
        database,
        "SELECT param_value FROM trial_params JOIN trials USING (trial_id) JOIN studies USING (study_id) "
        "WHERE study_name = 'mine' AND param_name = 'x' ORDER BY number",
    )
    assert [each for (each,) in stored] == [each["x"] for each in values]


def test_reports_are_epochs_and_attributes_are_optunas(database: str) -> None:
    curve = rows(
        database, "SELECT epoch, metrics FROM curves WHERE study = 'mine' AND number = 7 ORDER BY epoch"
    )
    assert [(epoch, json.loads(metrics)) for epoch, metrics in curve] == [
        (each, {"value": float(each), "step": 10.0 * each}) for each in (1, 2, 3)
    ]
    assert rows(database, "SELECT value_json FROM trial_user_attributes WHERE key = 'sizes'") == [
        ('{"a": [1]}',)
    ]


def test_a_killed_trial_begins_again_with_its_parameters(database: str) -> None:
    """The objective itself compares the values of both attempts."""
    notes = rows(database, "SELECT message FROM findings WHERE check_name = 'restarted' AND number = 6")
    assert notes == [("its worker ended: the trial began again, as optuna.Trial saves nothing",)]
    assert rows(database, "SELECT count(*) FROM curves WHERE study = 'mine' AND number = 6") == [(0,)]


def test_the_pruner_answers_should_prune(database: str) -> None:
    epochs = "(SELECT count(*) FROM curves WHERE curves.trial_id = results.trial_id)"
    assert _results(database, "state", epochs, study="pruning") == [
        ("complete", 3), ("complete", 3), ("pruned", 2), ("pruned", 2), ("pruned", 2), ("pruned", 2)
    ]  # fmt: skip
    assert "below the median" in _results(database, "verdict", study="pruning")[2]


def test_more_trials_keep_the_space_that_was_drawn(database: str) -> None:
    run(database, _spec("mine", "mine_objective", trials=11))
    assert _results(database, "state")[10:] == ["complete"]
    assert run_command(["importance", "mine", "--storage", database]) == 0
    assert run_command(["db", "check", "--storage", database]) == 0


@pytest.mark.slow
def test_hpo_run_trains_an_unchanged_script_with_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_quick_start.py").write_text(
        "import optuna\ndef objective(trial):\n    x = trial.suggest_float('x', -10, 10)\n"
        "    return (x - 2) ** 2\n\nstudy = optuna.create_study()\n"
        "study.optimize(objective, n_trials=100)\nstudy.best_params\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    arguments = ["mine_quick_start.py:objective", "--trials", "14", "--workers", "2", "--study", "named"]
    assert run_command(["run", *arguments]) == 0
    assert "mine_quick_start:objective for Optuna: minimize value" in capfd.readouterr().out
    values = rows(
        "sqlite:///hpo.db",
        "SELECT value, x FROM (SELECT value, configuration ->> 'x' x FROM results WHERE study = 'named')",
    )
    assert len(values) == 14 and all(value == (x - 2) ** 2 for value, x in values)
