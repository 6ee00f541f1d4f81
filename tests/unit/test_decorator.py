from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import hpo
from hpo.errors import UserError
from hpo.training.users_code import STUDY_ATTRIBUTE, import_function


@hpo.study(space={"lr": {"uniform": (0, 1)}}, trials=3, objective="val_loss")
def decorated(trial: hpo.Trial) -> float:
    """Train."""
    return 2.0 * cast("Any", trial)["lr"]


def test_a_decorated_function_is_called_with_a_trial_by_hand() -> None:
    assert decorated(cast("Any", {"lr": 0.25})) == 0.5
    assert (decorated.__name__, decorated.__doc__) == ("decorated", "Train.")
    assert getattr(decorated, STUDY_ATTRIBUTE) == {
        "study": "test_decorator.decorated",
        "space": {"lr": {"uniform": [0, 1]}},
        "trials": 3,
        "objective": "val_loss",
    }


def test_importing_a_file_does_not_start_its_study_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_started.py").write_text(
        "import hpo\n@hpo.study(space={}, trials=1)\ndef run(trial): return 1.0\nfound = run()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    function = import_function("trainer", "mine_started:run")
    assert sys.modules["mine_started"].found is None
    assert function(cast("Any", object())) == 1.0
    assert not list(tmp_path.glob("*.db"))


def plain(trial: hpo.Trial) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("decorate", "problem"),
    [
        (lambda: hpo.study(space={}, trainer="train:run")(plain), "plain: trainer cannot be given: the fun"),
        (
            lambda: hpo.study(space={"lr": {"choice": [object()]}})(plain),
            "is a object; values of a study",
        ),
        (lambda: hpo.study(space=cast("Any", {(1, 2): 3}))(plain), "of plain: keys must be str"),
        (lambda: hpo.study(space={})(cast("Any", partial(plain))), "is for functions; a partial is not one"),
        (
            lambda: hpo.study(space={})(cast("Any", decorated)),
            "is for functions; decorated is a study already",
        ),
        (
            lambda: hpo.study(cast("Any", plain)),
            "needs its arguments by name: @hpo.study(space={...}, trials",
        ),
        (
            lambda: hpo.study(*cast("Any", [{}, 5])),
            "needs its arguments by name: @hpo.study(space={...}, tri",
        ),
    ],
)
def test_what_a_study_cannot_be_made_of_is_refused(decorate: Callable[[], Any], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        decorate()
    assert problem in str(caught.value)


class Trainings:
    def run(self, trial: hpo.Trial) -> float:
        return 1.0


async def waits(trial: hpo.Trial) -> float:
    return 1.0


def takes_nothing() -> float:
    return 1.0


def makes_inner() -> Any:
    def inner(trial: hpo.Trial) -> float:
        return 1.0

    return inner


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (
            makes_inner(),
            "workers cannot import a function within another: move it out of it, or use functools",
        ),
        (lambda trial: 1.0, "workers cannot import a lambda: write def run(trial)"),
        (Trainings, "Trainings is a class: calling it trains nothing"),
        (
            Trainings.run,
            "missing a required argument: 'trial'. Write def run(trial), outside of the class Trai",
        ),
        (waits, "waits is async: calling it trains nothing; use a plain function"),
        (takes_nothing, "too many positional arguments. Write def takes_nothing(trial)"),
    ],
)
def test_function_that_workers_cannot_train_is_refused_before_it_runs(function: Any, problem: str) -> None:
    study = hpo.study(space={}, trials=1)(function)
    with pytest.raises(UserError) as caught:
        study()
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "problem"),
    [
        ({"spaces": {}, "trials": 1}, {}, "test_decorator.plain: unknown key 'spaces' (did you mean space?)"),
        ({"space": {}, "trails": 1}, {}, "test_decorator.plain: unknown key 'trails' (did you mean trials?)"),
        ({"space": {}, "trials": 1}, {"worker": 2}, "plain() has no option worker (did you mean workers?)"),
        (
            {"space": {}, "trials": 1},
            {"x": 2},
            "plain() has no option x (known: storage, changes, trials, wo",
        ),
    ],
)
def test_wrong_name_is_told_with_the_right_one(
    arguments: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UserError) as caught:
        hpo.study(**arguments)(plain)(**options)
    assert problem in str(caught.value)


def test_numbers_of_numpy_are_numbers_in_a_study() -> None:
    space = {"lr": {"log": np.array([0.1, 1.0])}, "n": {"choice": [np.int64(2), np.float32(0.5)]}}
    study = hpo.study(space=space, trials=cast("Any", np.int64(3)))(plain)
    assert getattr(study, STUDY_ATTRIBUTE) == {
        "study": "test_decorator.plain",
        "space": {"lr": {"log": [0.1, 1.0]}, "n": {"choice": [2, 0.5]}},
        "trials": 3,
    }


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("", 0, "the study of run was not started: call run() at the end of the file"),
        ("run()", 2, "error: 1 mistake in the study train.run\n  train.run: trials: -1 is below 1"),
        ("run(worker=1)", 2, "error: run() has no option worker (did you mean workers?)\n"),
        ("hpo.study(run)", 2, "error: @hpo.study needs its arguments by name"),
        ("hpo.study(space={})(run)", 2, "error: @hpo.study is for functions; run is a study already\n"),
        ("1 / 0", 1, "ZeroDivisionError"),
    ],
)
def test_a_script_says_what_it_did_not_do(tmp_path: Path, call: str, code: int, said: str) -> None:
    (tmp_path / "train.py").write_text(
        f"import hpo\n@hpo.study(space={{}}, trials=-1)\ndef run(trial): return 1.0\n{call}\n"
    )
    done = subprocess.run(
        [sys.executable, "train.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert ("was not started" in done.stderr) == (not call)


def test_mistake_that_is_typed_by_hand_does_not_end_the_session(tmp_path: Path) -> None:
    """As in the interactive interpreter and in a notebook."""
    code = (
        "import sys, hpo; sys.ps1 = '>'\n@hpo.study(space={}, trials=1)\ndef run(trial): return 1.0\n"
        "try: run()\nexcept hpo.errors.UserError as error: print('alive:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.startswith("alive: workers import run from its file: write it into a file train.py")
    assert (done.returncode, done.stderr) == (0, "")
