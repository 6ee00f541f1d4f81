from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.artifacts.bundle import LABELS, MANIFEST, WEIGHTS, ExportedFolder, write_sealed
from hpo.errors import ExportedFolderError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sealed(tmp_path, "s", 3, {WEIGHTS: b"weights", LABELS: b"[]"})
    return tmp_path


def change(path: Path, **values: Any) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, **values}))


def test_what_was_written_is_read(path: Path) -> None:
    found = ExportedFolder(path)
    assert (found.manifest.study, found.manifest.trial) == ("s", 3)
    assert found.read(WEIGHTS) == b"weights"
    assert LABELS in found and "program.pt2" not in found


def test_a_file_that_was_changed_or_lost_is_refused(path: Path) -> None:
    (path / WEIGHTS).write_bytes(b"weightz")
    (path / LABELS).unlink()
    found = ExportedFolder(path)
    with pytest.raises(ExportedFolderError, match=r"model\.safetensors does not match its checksum"):
        found.read(WEIGHTS)
    with pytest.raises(ExportedFolderError, match=r"labels\.json cannot be read: No such file"):
        found.read(LABELS)


def test_another_format_names_the_version_that_wrote_it(path: Path) -> None:
    change(path, format=2, hpo="7.1.0")
    with pytest.raises(ExportedFolderError, match=r"format 2, written by hpo 7\.1\.0; this hpo .* format 1"):
        ExportedFolder(path)


def test_what_is_not_an_exported_folder_is_reported(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportedFolderError, match="there is no folder"):
        ExportedFolder(tmp_path / "nowhere")
    with pytest.raises(ExportedFolderError, match=r"was not written by `hpo export`: it has no manifest"):
        ExportedFolder(path / WEIGHTS)
    change(path, sha256=3)
    with pytest.raises(ExportedFolderError, match="is damaged: see sha256"):
        ExportedFolder(path)
    (path / MANIFEST).write_text("[1]")
    with pytest.raises(ExportedFolderError, match=r"manifest\.json is damaged"):
        ExportedFolder(path)
    (path / MANIFEST).write_text("{")
    with pytest.raises(ExportedFolderError, match=r"manifest\.json cannot be read"):
        ExportedFolder(path)
