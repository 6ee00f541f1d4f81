from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.data.folder import list_images
from hpo.data.walk import extensions, image_paths, left_out_sentence
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
    return [path.as_posix() for path in image_paths(given).paths]


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
    (folder / "z.png").symlink_to("gone.png")
    with pytest.raises(DataError, match=r"images/z\.png is a link to gone\.png, which does not exist"):
        names("images/z.png")


def test_training_and_prediction_find_the_same_images(tmp_path: Path) -> None:
    """Linked folders and files, hidden ones, capital letters, and all that Pillow reads."""
    train = tmp_path / "train"
    names = (
        "a.png",
        "b.JFIF",
        "c.jp2",
        "d.ppm",
        "e.mpo",
        "deep/f.tga",
        ".ipynb_checkpoints/a.png",
        "@eaDir/a.jpg",
        "note.txt",
    )
    for name in (*(f"bar/{name}" for name in names), "disc/a.png"):
        (train / name).parent.mkdir(parents=True, exist_ok=True)
        (train / name).touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("w.png", "x.png", "y.heic", "z"):
        (elsewhere / name).touch()
    (train / "disc" / "linked").symlink_to(elsewhere)
    (train / "ring").symlink_to(elsewhere)
    (train / "disc" / "link.png").symlink_to(train / "bar" / "a.png")
    listing = list_images(tmp_path)
    found = image_paths([str(train)])
    assert {str(path) for path in found.paths} == {file.path for file in (*listing.train, *listing.test)}
    assert len(found.paths) == len(listing.train) + len(listing.test) == 12
    assert found.left_out == Counter({".heic": 2, "": 2, ".txt": 1})
    assert listing.warnings[-1:] == tuple(left_out_sentence(found.left_out))


def test_left_out_files_are_counted_by_extension() -> None:
    assert list(left_out_sentence(Counter())) == []
    assert list(left_out_sentence(Counter({".txt": 1, "": 2, ".heic": 1200}))) == [
        "1,203 files are left out: not an image format that Pillow reads here "
        "(1,200 .heic, 2 without extension, 1 .txt); save the HEIC photos as JPEG to use them"
    ]


def test_extensions_are_those_that_pillow_decodes_itself() -> None:
    assert {".jfif", ".jpe", ".apng", ".pgm", ".dib", ".qoi", ".mpo", ".webp"} <= extensions()
    assert not {".eps", ".pdf", ".mpg", ".wmf", ".h5", ".txt", ""} & extensions()


@pytest.mark.parametrize("walk", [lambda root: list_images(root), lambda root: image_paths([str(root)])])
def test_a_link_to_a_folder_above_is_named(tmp_path: Path, walk: Callable[[Path], object]) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    (tmp_path / "cat" / "loop").symlink_to(tmp_path)
    with pytest.raises((OSError, DataError), match="this link leads to a folder above it") as caught:
        walk(tmp_path)
    assert "cat/loop" in str(caught.value)
