"""`hpo export` of a trial of the user's own training: what it kept, in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.numpy

from hpo.artifacts.store import files_folder, save_content
from hpo.cli.app import run_command
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.workers.submit import submit_study
from tests.database.test_own_training import TEXT, _spec, _train
from tests.helpers.confirmed_study import confirmed_study

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ResultsStore]:
    monkeypatch.chdir(tmp_path)
    with ResultsStore(f"sqlite:///{tmp_path / 'own.db'}") as opened:
        submit_study(opened, _spec())
        yield opened


def _uid(store: ResultsStore) -> str:
    found = find_registered(store.engine, "mine")
    assert found is not None
    return found.uid


def _export(store: ResultsStore, *arguments: str) -> int:
    return run_command(["export", "mine", "--storage", store.url, *arguments])


def test_export_writes_the_kept_states_files_and_parameters(store: ResultsStore, capsys: Capture) -> None:
    import numpy as np

    _train(store, 1, 0.2)
    best = _train(store, 1, 0.5)
    content = safetensors.numpy.save({"model.weight": np.arange(3.0)})
    states = {"model": {"dict": [["weight", {"tensor": "model.weight"}]]}, "sums": {"dict": [["loss", 2]]}}
    described = {"states": states, "value": 0.5}
    save_content(_uid(store), best.number, 1, content, described, {})
    files = files_folder(_uid(store), "main", 1)
    (files / "plots").mkdir(parents=True)
    (files / "plots" / "curve.txt").write_text("up")

    assert _export(store, "--json") == 0

    printed = json.loads(capsys.readouterr().out)
    folder = Path("mine-trial-1")
    assert (printed["folder"], printed["trial"], printed["value"]) == (str(folder), 1, 0.5)
    assert (printed["states"], printed["files"]) == (["model", "sums"], ["plots/curve.txt"])
    assert printed["with_tensors"] == ["model"]
    assert json.loads((folder / "trial.json").read_text())["states"] == states
    parameters = json.loads((folder / "parameters.json").read_text())
    assert parameters == printed["parameters"] and parameters["rate"] == best.values["rate"]
    tensors = safetensors.numpy.load_file(folder / "weights.safetensors")
    assert tensors["model.weight"].tolist() == [0, 1, 2]
    assert (folder / "files" / "plots" / "curve.txt").read_text() == "up"
    assert 'prefix = "model."' in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        ("trainer: my_package.train:run", "trial.keep(model=...) are kept for the best trials"),
        ("trainer: my_package.train:run\ninterface: optuna", "an optuna.Trial keeps no states"),
        ("command: [./train]", "{trial.artifacts}"),
    ],
)
def test_export_of_a_trial_that_kept_nothing_has_parameters(
    trainer: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from hpo.config.parsing.load import parse_study

    monkeypatch.chdir(tmp_path)
    text = TEXT.replace("trainer: my_package.train:run", trainer)
    if "optuna" in trainer:
        text = "study: mine\n" + trainer + "\n"
    with ResultsStore(f"sqlite:///{tmp_path / 'own.db'}") as store:
        submit_study(store, parse_study(text + "trials: 4\n", "mine.yaml"))
        trial = _train(store, 1, 0.5)
        assert _export(store) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no states, 0 files, parameters -> mine-trial-0 note: " in printed and says in printed
    folder = tmp_path / "mine-trial-0"
    assert {each.name for each in folder.iterdir()} == {"README.md", "parameters.json"}
    drawn = {name: each for name, each in trial.values.items() if each is not None}
    assert drawn.items() <= json.loads((folder / "parameters.json").read_text()).items()
    assert "kept no states and no files: " in (folder / "README.md").read_text()


def test_export_with_retrain_names_the_command_that_repeats(store: ResultsStore, capsys: Capture) -> None:
    _train(store, 1, 0.5)
    assert _export(store, "--retrain") == 2
    assert "hpo repeat mine NUMBER" in " ".join(capsys.readouterr().err.split())


def test_export_after_a_confirmation_takes_a_run_of_the_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    with ResultsStore(f"sqlite:///{tmp_path / 'own.db'}") as store:
        confirmed = confirmed_study(store)
        for slot in range(4):
            files = files_folder(_uid(store), "confirm", slot)
            files.mkdir(parents=True)
            (files / "curve.txt").write_text("up")
        assert _export(store, "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert (printed["trial"], printed["value"]) == (confirmed.best_run, 0.91)
        assert printed["why"] == (
            f"confirmed: the configuration of trial {confirmed.number}, mean val_accuracy 0.9000 of "
            f"2 trainings, of which trial {confirmed.best_run} is the best that was kept"
        )
        assert printed["why"] in Path(printed["folder"], "README.md").read_text()
        assert _export(store, "--trial", str(confirmed.lucky)) == 0
        assert f"trial {confirmed.lucky} of mine, val_accuracy 0.99" in capsys.readouterr().out
