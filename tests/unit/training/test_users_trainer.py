"""A user's training is found without running it, and imported in a process of its own."""
# ruff: noqa: E501 - a row of a table is easier to read on one line

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.config.parsing.load import parse_study
from hpo.errors import ConfigurationError
from hpo.training.users_code import allow_only, import_function
from hpo.training.users_trainer import check_own_training, check_trainer, find_trainer

PACKAGE = {
    "mine_package/__init__.py": "raise SystemExit('never imported')",
    "mine_package/train.py": """
print("noise on standard output")
def run(trial): return 1.0
def both(trial, other): return 1.0
def with_options(trial, *, width=3): return 1.0
async def later(trial): return 1.0
def rows(trial): yield 1.0
async def later_rows(trial): yield 1.0
class Net:
    @staticmethod
    def fit(trial): return 1.0
try:
    from math import sqrt as root
except ImportError:
    root = None
with open(__file__):
    inside: int = 3
""",
    "mine_broken.py": "def run(trial:\n    pass\n",
    "mine_dies.py": "import os\nos._exit(7)\ndef run(trial): pass\n",
    "mine_raises.py": "import no_such_thing\ndef run(trial): pass\n",
    "mine_deep.py": f"x = {'-' * 100_000}1\ndef run(trial): pass\n",
    "mine_coded.py": "# coding: none-such\ndef run(trial): pass\n",
    "mine_interrupts.py": "raise KeyboardInterrupt\ndef run(trial): pass\n",
    "mine_star.py": "from math import *\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _only_mine() -> Iterator[None]:
    allow_only(["mine_package", "python3"])
    yield
    allow_only(None)


@pytest.mark.parametrize("name", ["run", "Net", "Net.fit", "root", "inside"])
def test_a_function_is_found_without_running_its_module(folder: Path, name: str) -> None:
    assert find_trainer(f"mine_package.train:{name}") == folder / "mine_package" / "train.py"
    assert not {"mine_package", "mine_package.train"} & sys.modules.keys()


def test_names_that_only_running_tells_are_not_refused(folder: Path) -> None:
    assert find_trainer("mine_star:sin") == folder / "mine_star.py"
    assert find_trainer("math:sqrt") is None
    assert find_trainer("os.path:join") is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mine_package.train:rum", "module mine_package.train has no 'rum'; did you mean run?"),
        ("mine_packag:run", "there is no module 'mine_packag' in "),
        ("mine_package.trian:run", "there is no module 'mine_package.trian' in "),
        ("mine_star.inner:run", "mine_star is a module, not a package: there is no module 'inner' in it"),
        ("mine_broken:run", "mine_broken.py, line 1 is not valid Python: '(' was never closed"),
        ("mine_deep:run", "mine_deep.py is not valid Python: "),
        ("mine_coded:run", "mine_coded.py is not valid Python: unknown encoding: none-such"),
    ],
)
def test_a_training_that_does_not_exist_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_trainer(path)
    assert str(caught.value).startswith(f"trainer {path}: ") and message in str(caught.value)


def test_a_process_of_its_own_imports_the_training(folder: Path) -> None:
    (folder / "mine_package" / "__init__.py").write_text("")
    found = check_trainer("mine_package.train:with_options")
    assert found.problem == ""
    assert (found.file, found.line) == (str(folder / "mine_package" / "train.py"), 5)
    assert found.signature == "(trial, *, width=3)"
    assert "mine_package" not in sys.modules


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("mine_dies:run", "trainer mine_dies:run ended its process when it was imported (exit code 7)"),
        (
            "mine_raises:run",
            "trainer mine_raises:run, when imported, raised ModuleNotFoundError: No module named 'no_such_thing'",
        ),
        (
            "mine_interrupts:run",
            "trainer mine_interrupts:run, when imported, raised KeyboardInterrupt: ",
        ),
        ("mine_package.train:run", "trainer mine_package.train:run, when imported, raised SystemExit: never imported"),
    ],
)  # fmt: skip
def test_an_import_that_fails_is_described(path: str, problem: str) -> None:
    assert check_trainer(path).problem == problem


def test_an_import_that_hangs_is_given_up(folder: Path) -> None:
    (folder / "mine_waits.py").write_text("import threading\nthreading.Event().wait()\n")
    problem = check_trainer("mine_waits:run", seconds=2.0).problem
    assert problem == "trainer mine_waits:run was still being imported after 2 seconds"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("both", "both(trial, other) cannot be called with one argument, the trial: missing a required argument"),
        ("later", "later is async: calling it trains nothing; use a plain function"),
        ("rows", "rows is a generator: calling it trains nothing; use a plain function"),
        ("later_rows", "later_rows is async: calling it trains nothing; use a plain function"),
        ("Net", "Net is a class: calling it trains nothing; use a plain function"),
        ("inside", "inside is a int, not a function"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_train_is_described(folder: Path, name: str, problem: str) -> None:
    (folder / "mine_package" / "__init__.py").write_text("")
    assert problem in check_trainer(f"mine_package.train:{name}").problem


def _own(line: str) -> None:
    check_own_training(parse_study(f"study: s\ntrials: 1\n{line}\n", "s.yaml"))


@pytest.mark.usefixtures("_only_mine")
def test_only_allowed_packages_and_programs_are_run(folder: Path) -> None:
    _own("trainer: mine_package.train:run")
    _own("command: [python3, train.py]")
    message = (
        "trainer mine_star:sin was not imported: this worker allows bundled networks and those of mine_package, "
        "python3. If you trust its code, start the worker with HPO_ALLOWED_MODELS=mine_package,python3,mine_star"
    )
    with pytest.raises(ConfigurationError) as caught:
        _own("trainer: mine_star:sin")
    assert str(caught.value) == message
    with pytest.raises(ConfigurationError, match="was not imported: this worker allows"):
        import_function("trainer", "mine_star:sin")
    # A program of an allowed name elsewhere is another program.
    (folder / "python3").write_text("#!/bin/sh\n")
    (folder / "python3").chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"command \./python3 was not started: this worker allows"):
        _own("command: [./python3]")


def test_a_program_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="command no-such-program: there is no such program in"):
        _own("command: [no-such-program]")


def test_looking_at_a_training_loads_no_pytorch() -> None:
    code = "import sys, hpo.training.users_trainer as t; t.find_trainer('mine_star:sin'); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
