"""Files written in one step."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from hpo.files import cannot_write, write_file


def test_a_file_appears_complete(tmp_path: Path) -> None:
    def write(handle: BinaryIO) -> None:
        handle.write(b"new")

    write_file(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail(handle: BinaryIO) -> None:
        handle.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a", fail)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_errors_report_what_to_change(tmp_path: Path) -> None:
    denied = cannot_write(
        "the cache", tmp_path, "HPO_CACHE", PermissionError(13, "Permission denied"), 5_000_000
    )
    assert str(denied) == (
        f"cannot write the cache (5 MB) at {tmp_path}: Permission denied\nSet HPO_CACHE to a writable folder."
    )
