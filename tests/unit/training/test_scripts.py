"""A study in a Python file is found, imported in a process of its own, and read as a study file is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpo.cli.app import run_command
from hpo.errors import HpoError
from hpo.training.scripts import load_any_study
from hpo.training.users_trainer import find_trainer
from tests.helpers.own_training import rows

TRAIN = """
import hpo
from beside_mine import accuracy

@hpo.study(
    space={"lr": {"log": [1e-3, 1]}, "width": {"choice": (8, 16)}}, trials=2, fixed={"epochs": 2}, seed=7
)
def run(trial: hpo.Trial) -> None:
    for epoch in trial.epochs():
        trial.report(val_accuracy=accuracy(trial["lr"], epoch))

def plain(trial): return 1.0

print(f"called: {run()}")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "mine_script.py").write_text(TRAIN)
    (tmp_path / "inner" / "beside_mine.py").write_text("def accuracy(lr, epoch): return epoch * lr / 4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_a_decorated_function_is_read_as_a_study_file(folder: Path) -> None:
    spec = load_any_study("inner/mine_script.py:run", ["trials=5"])
    assert (spec.study, spec.trainer, spec.trials, spec.seed) == (
        "mine_script.run", "mine_script:run", 5, 7
    )  # fmt: skip
    assert list(spec.space) == ["lr", "width"] and spec.fixed == {"epochs": 2}
    assert sys.path[-1] == str(folder / "inner")
    assert "mine_script" not in sys.modules


def test_a_file_in_a_package_has_the_name_of_the_package(folder: Path) -> None:
    (folder / "inner" / "__init__.py").touch()
    script = folder / "inner" / "mine_script.py"
    script.write_text(TRAIN + "from . import __name__ as package\nassert package == 'inner'\n")
    assert load_any_study(f"{script}:run").trainer == "inner.mine_script:run"
    assert sys.path[-2:] == [str(folder), str(folder / "inner")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("inner/mine_script.py", "name a function in it, write inner/mine_script.py:run"),
        ("inner/mine_script.py:rum", "no 'rum'; did you mean run?"),
        ("inner/mine_script.py:", "name a function in it"),
        ("inner/mine_script.py:a b", "'a b' is not the name of a function"),
        (
            "inner/my-script.py:run",
            "'my-script' is not the name of a Python module; rename it to my_script.py",
        ),
        (
            "inner/mine.v2.py:run",
            "'mine.v2' is not the name of a Python module; rename it to mine_v2.py",
        ),
        ("inner/none.py:run", "there is no file inner/none.py"),
        ("inner/random.py:run", "module 'random' is "),
        ("none.yaml", "there is no file none.yaml"),
    ],
)
def test_what_cannot_be_found_is_named(folder: Path, source: str, message: str) -> None:
    (folder / "inner" / "my-script.py").touch()
    (folder / "inner" / "mine.v2.py").touch()
    (folder / "inner" / "random.py").write_text("def run(trial): pass")
    with pytest.raises(HpoError) as raised:
        load_any_study(source)
    assert message in str(raised.value)


def test_mistakes_in_the_decorator_are_those_of_a_study_file(folder: Path) -> None:
    (folder / "mine_wrong.py").write_text(
        "import hpo\n@hpo.study(space={'lr': {'log': [1, 0.1]}}, trails=5)\ndef run(trial): pass\n"
    )
    with pytest.raises(HpoError) as raised:
        load_any_study("mine_wrong.py:run")
    for part in ("  mine_wrong.py:run: unknown key", "did you mean trials?", "trials", "is not below"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (
            "for epoch in trial.epochs(2): pass",
            "trial.epochs (line 3) is of hpo.Trial: for an hpo.Trial write",
        ),
        ("return trial['lr']", "trial['lr'] (line 3) is of hpo.Trial: for an hpo.Trial write @hpo.study"),
        ("return trial.number", ""),
        ("return trial.suggest_float('lr', 0, 1) + getattr(trial, 'seed', 0)", ""),
        ("trial = {}; return trial['lr']", ""),
    ],
)
def test_use_of_hpo_trial_without_a_study_is_refused(folder: Path, body: str, refused: str) -> None:
    (folder / "inner" / "mine_plain.py").write_text(f"import hpo\ndef run(trial):\n    {body}\n")
    if not refused:
        assert load_any_study("inner/mine_plain.py:run", ["trials=1"]).interface == "optuna"
        return
    with pytest.raises(HpoError) as raised:
        load_any_study("inner/mine_plain.py:run", ["trials=1"])
    assert refused in str(raised.value)
    with_space = ["trials=1", "interface=hpo", "space={lr: {log: [0.1, 1]}}"]
    assert load_any_study("inner/mine_plain.py:run", with_space).interface == "hpo"


def test_a_space_for_an_objective_is_refused_with_the_reason(folder: Path) -> None:
    with pytest.raises(HpoError) as raised:
        load_any_study("inner/mine_script.py:plain", ["trials=1", "space={lr: {log: [0.1, 1]}}"])
    assert "inner/mine_script.py:plain has no @hpo.study" in str(raised.value)
    assert "for an hpo.Trial write" in str(raised.value)


@pytest.mark.parametrize(
    ("keys", "is_searched"),
    [
        ("trainer: mine_script:plain\nspace: {}", True),
        ("space: {model: {choice: [resnet, 'mine_script:plain']}}", True),
        ("fixed: {dataset: 'mine_script:plain'}\nspace: {}", True),
        ("command: [echo, 'a:b', '{lr}']\nspace: {lr: {log: [0.1, 1]}}", False),
        ("space: {}", False),
    ],
)
def test_modules_beside_a_study_file_are_found_last(folder: Path, keys: str, is_searched: bool) -> None:
    before = list(sys.path)
    (folder / "inner" / "mine.yaml").write_text(f"study: mine\ntrials: 1\n{keys}\n")
    spec = load_any_study("inner/mine.yaml")
    added = [str(folder), str(folder / "inner")] if is_searched else []
    assert [each for each in sys.path if each not in before] == added
    if spec.trainer is not None:
        assert find_trainer(spec.trainer) == folder / "inner" / "mine_script.py"


@pytest.mark.slow
def test_a_script_trains_its_study_and_hpo_run_resumes_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "inner/mine_script.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mine_script.run  all 2 trials are done" in done.stdout
    assert "called: <hpo.Study mine_script.run: 2 of 2 trials are over>" in done.stdout
    assert run_command(["run", "inner/mine_script.py:run", "--trials", "3", "--workers", "1"]) == 0
    assert "resuming: 2 trials done, 1 left" in capfd.readouterr().out
    curves = rows(
        "sqlite:///hpo.db",
        "SELECT curves.number, count(*), max(curves.val_accuracy) = max(results.lr) / 2 FROM curves "
        "JOIN results USING (study, number) "
        "GROUP BY curves.number",
    )
    assert curves == [(0, 2, 1), (1, 2, 1), (2, 2, 1)]


def test_modules_of_a_later_study_are_found_before_those_of_earlier_ones(folder: Path) -> None:
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "mine_twin.py").write_text("def run(trial): return 1.0\n")
        (folder / name / "mine.yaml").write_text(
            f"study: {name}\ntrials: 1\ntrainer: mine_twin:run\nspace: {{}}\n"
        )
        load_any_study(f"{name}/mine.yaml")
        assert find_trainer("mine_twin:run") == folder / name / "mine_twin.py"
    load_any_study("first/mine.yaml")
    assert find_trainer("mine_twin:run") == folder / "first" / "mine_twin.py"
