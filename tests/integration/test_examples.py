"""The trainings in examples/ against the real libraries: they run as they are, and resume bit for bit."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo.config.parsing.load import load_study, parse_study
from hpo.config.study import StudySpec
from hpo.trainer.process import end_trainer_process
from tests.helpers.own_training import rows, submit, work

EXAMPLES = Path(__file__).parents[2] / "examples"
WRAPPED = '''
"""The example, killed once after its second epoch in a study called killed."""
import os, signal, sys
from pathlib import Path

from hpo.trainer import saved

if "{module}" in ("with_lightning", "with_transformers"):  # torchvision may not fit PyTorch here
    from hpo.data.cifar10 import import_torchvision

    import_torchvision()
saved._LEAST_PERIOD = 0  # each epoch is saved, however short it is

import {module}


def run(trial):
    report, mark = trial.report, Path(f"killed-{{trial.number}}")

    def report_and_die(*epoch, **metrics):
        report(*epoch, **metrics)
        if trial.study == "killed" and trial._saves.progress.epochs == 2 and not mark.exists():
            mark.touch()
            trial._saves.checkpoints.wait()
            os.kill(os.getpid(), signal.SIGKILL)

    trial.report = report_and_die
    {module}.run(trial)
    assert "torch" not in sys.modules or "{module}" != "with_scikit_learn"
'''
CURVES = """
    SELECT number, epoch, train_loss, val_loss, val_accuracy, metrics FROM curves WHERE study = :study
    ORDER BY 1, 2
"""
RESULTS = "SELECT number, state, value, weights_hash, cause FROM results WHERE study = :study ORDER BY number"
ATTEMPTS = """
    SELECT a.from_epoch, a.outcome FROM hpo_attempt AS a JOIN hpo_trial AS t ON t.trial_id = a.trial_id
    JOIN hpo_study AS s ON s.study_id = t.study_id WHERE s.name = :study ORDER BY t.slot, a.attempt
"""


@pytest.fixture(autouse=True)
def _examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    yield
    end_trainer_process()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/examples.db"


def _skip_without(library: str) -> None:
    """Skip the test if the library is not installed; only the trainer process imports it."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


def _study(file: str, name: str, fixed: dict[str, Any], **changes: Any) -> StudySpec:
    """Return the study of an example with one stage of few trials, and other fixed values."""
    module = Path(file).stem
    Path("wrapped.py").write_text(WRAPPED.format(module=module))
    whole = load_study(file).model_dump(exclude_unset=True, by_alias=True)
    for key in ("stages", "trials", "pruner"):
        whole.pop(key, None)
    space = {key: each for key, each in whole["space"].items() if key not in fixed}
    named = {"study": name, "trainer": "wrapped:run", "space": space, "fixed": whole["fixed"] | fixed}
    return StudySpec.model_validate(whole | named | {"trials": 1} | changes)


def _is_the_same_when_killed(url: str, file: str, fixed: dict[str, Any], **changes: Any) -> bool:
    for name in ("whole", "killed"):
        study = _study(file, name, fixed, **changes)
        submit(url, study)
        work(url, name)
    assert [row[1] for row in rows(url, RESULTS, study="whole")] == ["complete"]
    assert rows(url, "SELECT error FROM hpo_trial WHERE error IS NOT NULL") == []
    assert rows(url, ATTEMPTS, study="killed") == [(0, "lost"), (2, "complete")]
    return all(rows(url, sql, study="whole") == rows(url, sql, study="killed") for sql in (CURVES, RESULTS))


def test_study_files_name_functions_that_are_there() -> None:
    files = sorted(EXAMPLES.glob("*.yaml"))
    assert len(files) == 4
    for file in files:
        trainer = load_study(str(file)).trainer
        assert trainer is not None
        module, function = trainer.split(":")
        assert module == file.stem and f"def {function}(trial" in file.with_suffix(".py").read_text()


def test_page_runs_as_it_is_written(url: str, tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "own-training.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", page, re.DOTALL))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    study = load_study("train.yaml", ["trials=3"])
    submit(url, study)
    work(url, study.study)
    results = rows(url, RESULTS, study=study.study)
    assert [row[1] for row in results] == ["complete"] * 3 and max(row[2] for row in results) > 0
    assert len(rows(url, CURVES, study=study.study)) == 30


def test_code_on_the_page_is_valid() -> None:
    page = (EXAMPLES.parent / "docs" / "own-training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 8
    for language, text in blocks:
        ast.parse(text) if language == "python" else yaml.safe_load(text)
    (stages,) = (text for _, text in blocks if text.startswith("stages:"))
    spec = parse_study(f"study: s\ntrainer: train:run\nspace: {{lr: {{log: [0.001, 1]}}}}\n{stages}", "page")
    assert [stage.name for stage in spec.stages] == ["search", "refine", "confirm"]


@pytest.mark.slow
def test_plain_pytorch_resumes_bit_for_bit(url: str) -> None:
    assert _is_the_same_when_killed(url, "plain_pytorch.yaml", {"epochs": 3, "lr": 0.01, "width": 4})
    (_, _, value, _, cause) = rows(url, RESULTS, study="killed")[0]
    assert value > 0.3 and cause == "healthy"


def test_scikit_learn_resumes_bit_for_bit(url: str) -> None:
    _skip_without("sklearn")
    fixed = {"epochs": 3, "rounds_each": 1, "learning_rate": 0.4, "leaves": 6}
    assert _is_the_same_when_killed(url, "with_scikit_learn.yaml", fixed)
    losses = [row[3] for row in rows(url, CURVES, study="killed")]
    assert losses == sorted(losses, reverse=True) and rows(url, RESULTS, study="killed")[0][2] == losses[-1]


@pytest.mark.slow
def test_scikit_learn_is_confirmed_in_folds(url: str) -> None:
    _skip_without("sklearn")
    confirm = {"top": 1, "seeds": 1, "folds": 3}
    stages = [{"name": "search", "trials": 2}, {"name": "confirm", "confirm": confirm}]
    fixed = {"epochs": 2, "rounds_each": 1, "learning_rate": 0.4}
    study = _study("with_scikit_learn.yaml", "s", fixed, stages=stages, trials=5)
    submit(url, study)
    work(url, "s")
    values = [row[2] for row in rows(url, RESULTS, study="s")]
    assert len(values) == 5 and len(set(values)) == 5


@pytest.mark.slow
def test_lightning_resumes_bit_for_bit(url: str) -> None:
    _skip_without("lightning")
    fixed = {"epochs": 4, "lr": 0.05, "width": 4, "dropout": 0.3}
    assert _is_the_same_when_killed(url, "with_lightning.yaml", fixed)
    last = rows(url, CURVES, study="killed")[-1]
    assert last[1] == 4 and None not in last[2:5] and last[4] > 0.3


@pytest.mark.slow
def test_transformers_resumes_bit_for_bit(url: str) -> None:
    _skip_without("transformers")
    fixed = {"epochs": 4, "lr": 5e-3, "layers": 1, "heads": 2, "warmup_steps": 10}
    assert _is_the_same_when_killed(url, "with_transformers.yaml", fixed)
    last = rows(url, CURVES, study="killed")[-1]
    assert last[1] == 4 and None not in last[2:5] and last[4] > 0.3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "library", "fixed", "expected"),
    [
        ("with_lightning.yaml", "lightning", {"epochs": 4, "lr": 100.0, "width": 4}, "dead_units"),
        (
            "with_transformers.yaml",
            "transformers",
            {"epochs": 4, "lr": 1e6, "layers": 1, "heads": 2},
            "lr_too_high",
        ),
    ],
)
def test_hopeless_training_is_ended_by_its_babysitter(
    file: str, library: str, fixed: dict[str, Any], expected: str, url: str
) -> None:
    _skip_without(library)
    study = _study(file, "s", fixed)
    submit(url, study)
    work(url, "s")
    ((_, state, _, _, cause),) = rows(url, RESULTS, study="s")
    assert (state, cause) == ("pruned", expected)
