"""Programs of commands that the system cannot start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import ConfigurationError
from hpo.training.programs import find_program


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(file: Path, content: bytes, mode: int = 0o755) -> None:
    file.write_bytes(content)
    file.chmod(mode)


@pytest.mark.parametrize(
    "content", [b"#!/bin/sh\n", b"#! /usr/bin/env python3\n", b"#!/bin/sh", b"\x7fELF\0\0", b"#!relative\n"]
)
def test_sound_programs_are_found(folder: Path, content: bytes) -> None:
    script(folder / "tool", content)
    assert find_program("./tool") == "./tool"
    assert find_program(sys.executable) == sys.executable


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no-such-program", "there is no such program in the folders of $PATH"),
        ("train.py", "in the folders of $PATH; for the file in {folder} write python train.py"),
        ("tool", "in the folders of $PATH; for the file in {folder} write ./tool"),
        ("./missing", "there is no file {folder}/missing"),
        ("./tool", "the file is not executable: chmod +x ./tool"),
        ("./train.py", "the file is not executable: chmod +x ./train.py, or write python ./train.py"),
        ("./folder", "{folder}/folder is a folder, not a program"),
        ("./plain.sh", "it has no first line such as #!/bin/sh: add one, or write sh ./plain.sh"),
        ("./empty", "it has no first line such as #!/bin/sh: add one, or write sh ./empty"),
        (
            "./windows",
            "its lines end as on Windows, so that its first one names no interpreter: run dos2unix",
        ),
        ("./moved", "its first line names the interpreter /no/such/python, which cannot be executed here"),
    ],
)
def test_a_program_that_cannot_be_started_is_refused(folder: Path, name: str, problem: str) -> None:
    (folder / "folder").mkdir()
    for file in ("train.py", "tool"):
        script(folder / file, b"#!/bin/sh\n", 0o644)
    script(folder / "plain.sh", b"echo 1\n")
    script(folder / "empty", b"")
    script(folder / "windows", b"#!/bin/sh\r\necho 1\r\n")
    script(folder / "moved", b"#!/no/such/python -u\n")
    with pytest.raises(ConfigurationError) as caught:
        find_program(name)
    assert str(caught.value).startswith(f"command {name}: ")
    assert str(caught.value).endswith(problem.format(folder=folder))
