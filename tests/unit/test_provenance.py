"""Which code made a result."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hpo import __version__, provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hpo"
    folder.mkdir()
    (folder / "__init__.py").write_text("A = 1\n")
    monkeypatch.setattr(provenance, "_PACKAGE", folder)
    return folder


def test_without_a_repository_the_sources_are_hashed(package: Path) -> None:
    before = provenance.code_version()
    assert before.startswith(f"{__version__}+sources.")
    (package / "__init__.py").write_text("A = 2\n")
    assert provenance.code_version() != before


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_only_a_repository_that_tracks_the_package_names_its_commit(package: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(package), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    assert ".sources." in provenance.code_version().replace("+", ".")
    git("add", ".")
    git("commit", "--no-verify", "-m", "first")
    commit = git("rev-parse", "HEAD")[:12]
    assert provenance.code_version() == f"{__version__}+{commit}"
    (package / "__init__.py").write_text("A = 2\n")
    dirty = provenance.code_version()
    assert dirty.startswith(f"{__version__}+{commit}-dirty.")
    (package / "__init__.py").write_text("A = 3\n")
    assert provenance.code_version() != dirty


def test_versions_of_what_numbers_depend_on_are_named() -> None:
    versions = provenance.package_versions()
    assert (versions["python"], versions["numpy"]) == (platform.python_version(), np.__version__)
    assert {"torch", "optuna", "sqlalchemy"} <= set(versions)


def test_the_networks_count_as_sources_wherever_they_lie() -> None:
    names = set(provenance._sources())
    assert {"trial/run.py", "models/convnet.py", "models/layers.py"} <= names
