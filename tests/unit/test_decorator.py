from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

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


def test_what_a_study_cannot_be_made_of_is_refused() -> None:
    with pytest.raises(UserError, match="trainer cannot be given: the function below is the training"):
        hpo.study(space={}, trainer="train:run")
    with pytest.raises(UserError, match="not JSON serializable; values are numbers"):
        hpo.study(space={"lr": {"choice": [object()]}})

    @hpo.study(space={}, trials=1)
    def inner(trial: hpo.Trial) -> float:
        return 1.0

    with pytest.raises(UserError, match="workers cannot import a function within another"):
        inner()


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("", 0, "the study of run was not started: call run() at the end of the file"),
        ("run()", 2, "error: "),
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
