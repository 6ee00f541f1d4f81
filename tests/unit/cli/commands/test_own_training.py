"""Commands on a study of the user's own training, which has no data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.cli.app import run_command

STUDY = """\
study: mine
trainer: mine_training:run
trials: 3
fixed: {penalty: 0}
space: {rate: {log: [1e-3, 1]}, kind: {choice: [tree, net]}, layers: {int: [1, 4], when: {kind: net}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.yaml").write_text(STUDY)
    (tmp_path / "mine_training.py").write_text("def run(trial):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(*arguments: str) -> int:
    return run_command(list(arguments))


def test_check_tells_what_will_be_called(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("check", "mine.yaml", "--trial", "1") == 0
    shown = capsys.readouterr().out
    assert f"imported: {folder / 'mine_training.py'}:1\n  function: run(trial)\n" in shown
    assert "kind: tree, net  ->  " in shown and "penalty: fixed at 0" in shown
    assert _run("check", "mine.yaml", "--trial", "3") == 2
    assert "there is no trial 3" in capsys.readouterr().err


def test_check_refuses_a_training_that_cannot_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine_training.py").write_text("import os\nos.abort()\ndef run(trial): pass\n")
    assert _run("check", "mine.yaml") == 2
    assert "ended its process when it was imported (signal 6)" in capsys.readouterr().err
    assert _run("check", "mine.yaml", "--set", "trainer=mine_training:rnu") == 2
    assert "did you mean run?" in capsys.readouterr().err


def test_check_finds_the_program_of_a_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.yaml").write_text(
        STUDY.replace("trainer: mine_training:run", "command: [python3, train.py]")
    )
    assert _run("check", "mine.yaml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == ["python3", "train.py"] and found["program"].endswith("python3")
    assert found["values"] == {"penalty": 0}


def test_check_shows_the_command_of_a_trial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "command: [python3, train.py, 'p={penalty} x', --to, '{trial.folder}']"
    (folder / "mine.yaml").write_text(STUDY.replace("trainer: mine_training:run", command))
    assert _run("check", "mine.yaml", "--trial", "0") == 0
    assert "  runs: python3 train.py 'p=0 x' --to '{trial.folder}'\n" in capsys.readouterr().out


def test_a_study_without_data_set_is_submitted_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("submit", "mine.yaml", "--json") == 0
    submitted = json.loads(capsys.readouterr().out)
    assert (submitted["trials"], submitted["dataset"], submitted["warnings"]) == (3, None, [])
    assert _run("submit", "mine.yaml") == 0
    shown = capsys.readouterr().out
    assert "mine  3 trials, priority 0, your own training, mine_training:run" in shown
    assert "`HPO_ALLOWED_MODELS=mine_training hpo worker` trains it" in shown
    assert _run("enqueue", "mine", "rate=2", "layers=9", "kind=net") == 0
    output = capsys.readouterr()
    assert "mine  slot 0: rate 2, layers 9, kind net" in output.out
    assert "layers 9 is outside of the study's space (int 1 to 4)" in output.err
    assert _run("enqueue", "mine", "rat=2") == 2
    assert "unknown hyperparameter 'rat' (did you mean rate?)" in capsys.readouterr().err
    for command in ("studies", "status"):
        assert _run(command) == 0
        assert " –  " in capsys.readouterr().out
    assert _run("db", "check") == 0
