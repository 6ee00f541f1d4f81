from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.files import is_writable, replacing, temporary_folder, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with replacing(path) as file:
        file.write("new\n")
        assert path.read_text() == "old"
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path):
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "out", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_device_is_written_to_not_replaced() -> None:
    write_text(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*no/such: No such file or directory"):
        write_text(tmp_path / "no" / "such", "x")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Is a directory"):
        write_text(tmp_path, "x")


def test_temporary_folder_names_tmpdir_where_none_is_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match=r"no temporary files .*/nowhere.*set \$TMPDIR to a writable folder"):
        temporary_folder("hpo-")
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path)])
    assert temporary_folder("hpo-").parent == tmp_path


def test_is_writable_asks_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_writable(tmp_path / "new" / "er")
    assert not is_writable(tmp_path / "file" / "new")
