"""A folder of damaged and odd files from ``hpo data`` to ``hpo predict``: all say the same of each file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.app import run_command
from hpo.files import path_text
from hpo.text import one_line
from tests.helpers.odd_images import CLASSES, write_odd_images

STUDY = """\
study: odd
trials: 1
fixed: {dataset: folder, data_root: images, image_size: 48x64, width: 4, epochs: 1, batch_size: 20}
space: {lr: {log: [1e-3, 1e-1]}}
"""


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run_command([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_data_study_and_predict_agree_on_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CACHE", "ARTIFACTS", "DATA"):
        monkeypatch.setenv(f"HPO_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("HPO_STORAGE", f"sqlite:///{tmp_path}/hpo.db")
    Path("odd.yaml").write_text(STUDY)
    written = write_odd_images(tmp_path / "images")
    unusable = {path_text(path) for path, odd in written.items() if odd.shows is None}
    everything = tmp_path / "everything"

    code, found = json_of(capsys, "data", "images", "--sheet", "sheet.png")
    assert code == 2 and {each["path"] for each in found["unusable"]} == unusable
    assert sum(each["train"] + each["test"] for each in found["classes"]) == len(written) - len(unusable)
    assert [each["name"] for each in found["classes"]] == sorted(CLASSES)

    assert run_command(["run", "odd.yaml"]) == 2
    assert f"{len(unusable)} images cannot be used; repair or remove them" in capsys.readouterr().err

    (tmp_path / "images").rename(everything)
    shutil.copytree(everything, tmp_path / "images", symlinks=True, ignore=_unusable(written))
    assert run_command(["run", "odd.yaml"]) == 0
    assert run_command(["report", "odd", "--output", "odd.html"]) == 0
    assert '<b>"odd"' not in Path("odd.html").read_text()
    assert run_command(["query", "SELECT * FROM classes"]) == 0
    assert run_command(["export", "odd", "--output", "network"]) == 0

    capsys.readouterr()
    code = run_command(["predict", "network", "everything", "--json"])
    out, err = capsys.readouterr()
    predicted = json.loads(out)
    used = sorted(path_text(path.name) for path, odd in written.items() if odd.shows is not None)
    assert code == 2 and sorted(Path(each["image"]).name for each in predicted) == used
    assert {each["label"] for each in predicted} <= {*CLASSES}
    assert f"{len(unusable)} of {len(written)} images cannot be used:" in err
    named = [line.strip() for line in err.splitlines() if line.startswith("  everything/")]
    reasons = {each["path"].split("/images/")[1]: each["reason"] for each in found["unusable"]}
    same = {one_line(f"everything/{path}: {reason}") for path, reason in reasons.items()}
    assert len(named) == 10 and {*named} <= same


def _unusable(written: Any) -> Any:
    bad = {path.name for path, odd in written.items() if odd.shows is None}
    return lambda folder, names: [name for name in names if name in bad]
