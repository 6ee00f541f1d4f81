"""The Python API; the examples of docs/python.md are run as a script."""

from __future__ import annotations

import json
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from PIL import Image

import hpo
from hpo.cli.app import run_command
from hpo.errors import StudyFileError, UnknownStudyError
from hpo.events import RunSummary
from hpo.queue.scheduling import open_studies
from hpo.signals import stop_on_signals
from hpo.storage.store import ResultsStore
from tests.helpers import forked

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
STUDY: dict[str, Any] = {
    "study": "mine",
    "trials": 1,
    "fixed": {"dataset": "synthetic", "train_images": 500, "width": 4, "depth": 2, "epochs": 1},
    "space": {"lr": {"log": [1e-3, 1e-1]}},
}
BEFORE = """
from hpo.training.process_state import known_parts, read_state
parts = known_parts()
before = read_state(parts)
"""
CHECKS = """
after = read_state(parts)
changed = [name for name, part in parts.items() if not part.same(before[name], after[name])]
assert set(changed) <= {"loggers"}, changed  # new ones of what it loads
loggers = [name for name, state in before["loggers"].items() if after["loggers"][name] != state]
assert set(loggers) <= {"alembic"}, loggers  # Optuna sets its level for every program with such a database
assert table["number"].tolist() == [0, 1] and set(table["activation"]) <= {"relu", "tanh"}
assert status.summary.done == 2 and (best is None) == (not (table["state"] == "complete").any())
assert set(curves["number"]) <= {0, 1} and len(findings) > 2
print("waiting", study.status().summary.waiting)
"""


def test_examples_of_the_documentation_run_as_a_script(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    (tmp_path / "script.py").write_text("\n".join([BEFORE, *blocks, CHECKS]))
    (tmp_path / "mine.yaml").write_text(
        "study: mine\ntrials: 1\n"
        "fixed: {dataset: synthetic, train_images: 500, width: 4, depth: 2, epochs: 1}\n"
        "space: {lr: {log: [1e-3, 1e-1]}}\n"
    )
    done = forked.run(["script.py"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["<hpo.Study from-python: 2 of 2 trials are over>", "2"]
    assert any(re.match(r"trial 0: (complete|pruned), ", line) for line in lines)
    assert lines[-1] == "waiting 3"  # of four trials one was run


def test_submit_takes_a_mapping_with_changes(storage_url: str) -> None:
    with hpo.submit(STUDY, storage_url, changes={"epochs": 2}, trials=3, priority=4) as study:
        assert repr(study) == "<hpo.Study mine: 0 of 3 trials are over>"
        assert study.best() is None and study.summary is None
    with ResultsStore(storage_url) as store:
        (found,) = open_studies(store)
    assert (found.name, found.priority) == ("mine", 4)
    with hpo.load("mine", storage_url) as study:
        assert study.status().summary.waiting == 3
        assert study.results().empty and study.curves().empty


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_api_keeps_the_verbosity_of_optuna(storage_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert optuna.logging.get_verbosity() == optuna.logging.INFO, "importing hpo changed it"
    hpo.submit(STUDY, storage_url).close()
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert "A new study" not in capfd.readouterr().err


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_submit_warns_about_images_before_training(
    storage_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From Python and on the command line, also when the images are in the cache."""
    for name in ("bar", "disc"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(8):
            path = tmp_path / "images" / name / f"{number}.png"
            Image.new("L", (32, 32), number if name == "bar" else 0).save(path)
    fixed = {**STUDY["fixed"], "dataset": "folder", "data_root": str(tmp_path / "images")}
    study = {**STUDY, "fixed": {**fixed, "train_images": 8, "batch_size": 4, "val_fraction": 0.3}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hpo.submit(study, storage_url).close()
    (tmp_path / "mine.yaml").write_text(json.dumps(study))
    assert run_command(["submit", str(tmp_path / "mine.yaml"), "--json", "--storage", storage_url]) == 0
    shown, said = capsys.readouterr()
    assert json.loads(shown)["warnings"] == [str(each.message) for each in caught]
    assert "warning: class disc: all 7 train images are the same picture" in said
    assert "warning: class bar: each of its 7 train images is of a single color" in said


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_api_raises_errors_of_hpo_for_mistakes(storage_url: str) -> None:
    with pytest.raises(StudyFileError, match=r"unknown key 'trails'"):
        hpo.submit({**STUDY, "trails": 3}, storage_url)
    hpo.submit(STUDY, storage_url).close()
    with pytest.raises(UnknownStudyError, match="did you mean mine"):
        hpo.load("mien", storage_url)


@pytest.mark.parametrize(("code", "error"), [(130, KeyboardInterrupt), (143, SystemExit)])
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_run_raises_after_a_signal(
    storage_url: str, code: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hpo.api.run_study", lambda *_, **__: RunSummary("mine", 0, 1, True, 1.0, exit_code=code)
    )
    with pytest.raises(error):
        hpo.run(STUDY, storage_url)


def test_stop_on_signals_changes_nothing_in_a_thread() -> None:
    flags = []

    def in_thread() -> None:
        with stop_on_signals() as stop:
            flags.append(stop.signum)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert flags == [0]
