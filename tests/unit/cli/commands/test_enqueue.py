"""`hpo enqueue`, on a study of the database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hpo.cli.app import run_command


@pytest.fixture
def copied(demo: str, demo_path: Path, tmp_path: Path) -> str:
    """A database of its own, to write to."""
    shutil.copy(demo_path, tmp_path / "copy.db")
    return f"sqlite:///{tmp_path / 'copy.db'}"


def test_it_reports_which_slot_trains_it(copied: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["enqueue", "demo", "lr=0.5", "optimizer=adam", "--storage", copied]) == 0
    said, warned = capsys.readouterr()
    assert warned == ""
    place = "an additional trial: every other one has started or is enqueued"
    assert said == f"demo  slot 6: lr 0.5, optimizer adam  ({place})\n"


def test_mistakes_are_the_users_and_change_nothing(copied: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["enqueue", "demo", "lr=-1", "--storage", copied]) == 2
    assert "lr=-1: lr: -1 is not above 0" in capsys.readouterr().err
    assert run_command(["enqueue", "nothing", "lr=1", "--storage", copied]) == 2
    assert "no study file or bundled study 'nothing'" in capsys.readouterr().err
    assert run_command(["enqueue", "demo", "lr=0.25", "--storage", copied]) == 0
    assert "slot 6: lr 0.25" in capsys.readouterr().out


def test_what_a_trial_could_not_train_changes_nothing(
    copied: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["enqueue", "demo", "batch_size=100000", "--storage", copied]) == 2
    assert "batch_size 100,000 is larger than the training set of 45,000 images" in capsys.readouterr().err
    assert run_command(["enqueue", "demo", "model=no_such_module:net", "--storage", copied]) == 2
    assert "there is no module 'no_such_module'" in capsys.readouterr().err
    assert run_command(["enqueue", "demo", "lr=0.25", "--storage", copied]) == 0
    assert "slot 6: lr 0.25" in capsys.readouterr().out


def test_values_unlike_the_studys_draws_are_accepted_with_a_warning(
    copied: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["enqueue", "demo", "lr=20", "momentum=0.6", "dropout=0.5", "--storage", copied]) == 0
    said, warned = capsys.readouterr()
    assert "slot 6: lr 20, momentum 0.6, dropout 0.5" in said
    assert "lr 20 is outside of the study's space (log 1e-3 to 10)" in warned
    assert "momentum has no effect unless optimizer, which is drawn, is sgd or rmsprop" in warned
    assert "dropout is not searched: the study's other trials have dropout 0" in warned
