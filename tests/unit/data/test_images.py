from __future__ import annotations

from pathlib import Path

import pytest

from hpo.data.images import image_paths
from hpo.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.png", "a.JPG", "note.txt", ".hidden.png", "deep/er/c.webp", "odd"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "images" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path("images")


def names(*given: str) -> list[str]:
    return [path.as_posix() for path in image_paths(given)]


def test_a_folder_stands_for_the_images_below_it(folder: Path) -> None:
    assert names("images") == ["images/a.JPG", "images/b.png", "images/deep/er/c.webp"]


def test_a_file_is_taken_as_it_is_and_each_once(folder: Path) -> None:
    assert names("images/odd", "images/b.png", "images") == [
        "images/odd", "images/b.png", "images/a.JPG", "images/deep/er/c.webp",
    ]  # fmt: skip


def test_patterns_match_files_and_folders_at_any_depth(folder: Path) -> None:
    assert names("images/*.png") == ["images/b.png"]
    assert names("**/*.webp") == ["images/deep/er/c.webp"]
    assert names("images/de*") == ["images/deep/er/c.webp"]
    assert names(str(folder.absolute() / "*.png")) == [(folder.absolute() / "b.png").as_posix()]


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file or folder images/z\.png"):
        names("images/b.png", "images/z.png")
    with pytest.raises(DataError, match=r"nothing matches images/\*.gif"):
        names("images/*.gif")
    with pytest.raises(DataError, match="no images below images/empty"):
        names("images/empty")
