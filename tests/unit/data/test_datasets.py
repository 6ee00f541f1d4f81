"""Data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpo.config.image_format import STANDARD
from hpo.data import cifar10, folder, synthetic
from hpo.data.datasets import find_images, load_dataset, load_images, resolve_auto
from hpo.data.folder import list_images
from hpo.errors import DataError
from hpo.settings import Settings

MakeClass = Callable[..., None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache", download_seconds=0.5)


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    small = synthetic.make_synthetic(0, 4, 2)
    monkeypatch.setattr(synthetic, "make_synthetic", lambda _: small)


def answer(monkeypatch: pytest.MonkeyPatch, refusal: str | None) -> None:
    monkeypatch.setattr(cifar10, "why_unreachable", lambda url, size, seconds: refusal)


def test_auto_is_cifar10_if_it_is_on_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "must not be asked")
    place = settings.data / "cifar-10-batches-py"
    place.mkdir(parents=True)
    assert resolve_auto(settings) == ("cifar10", f"CIFAR-10 is at {place}")


def test_auto_is_cifar10_if_its_server_answers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, None)
    name, reason = resolve_auto(settings)
    assert name == "cifar10" and "downloaded once" in reason


def test_auto_is_synthetic_otherwise(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "no answer within 0.5 s")
    assert resolve_auto(settings) == (
        "synthetic",
        f"CIFAR-10 is not in {settings.data} and cannot be downloaded (no answer within 0.5 s)",
    )


def test_synthetic(settings: Settings, few_pictures: None) -> None:
    found = load_dataset("synthetic", STANDARD, settings=settings)
    assert found.name == "synthetic"
    assert found.classes == synthetic.CLASSES
    assert found.train_images.shape == (40, 3, 32, 32) and found.test_images.shape == (20, 3, 32, 32)
    assert found.train_images.dtype == np.uint8 and found.train_labels.dtype == np.int64
    assert len(found.fingerprint) == 64
    assert found.origin == "synthetic images, version 1, seed 0"
    names = ", ".join(found.classes[:5])
    assert found.description == f"{found.origin}; 10 classes: {names} and 5 more"


def test_the_same_contents_have_the_same_fingerprint_anywhere(tmp_path: Path, make_class: MakeClass) -> None:
    """The name of the folder, times of files and the cache's place are no part of the data."""
    for name in ("cat", "dog"):
        make_class(tmp_path / "one" / name, 5)
    (tmp_path / "two").mkdir()
    for path in sorted((tmp_path / "one").rglob("*.png")):
        copy = tmp_path / "two" / path.relative_to(tmp_path / "one")
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    prints = [
        load_dataset(
            "folder", STANDARD, root=tmp_path / name, settings=Settings(cache=tmp_path / f"cache-{name}")
        ).fingerprint
        for name in ("one", "two")
    ]
    assert prints[0] == prints[1]
    (tmp_path / "two" / "cat").rename(tmp_path / "two" / "cow")
    renamed = load_dataset(
        "folder", STANDARD, root=tmp_path / "two", settings=Settings(cache=tmp_path / "cache-two")
    )
    assert renamed.fingerprint != prints[0]


def test_folder_needs_a_root(settings: Settings) -> None:
    with pytest.raises(
        DataError, match=r"dataset: folder needs data_root, the folder .*\nExpected: ROOT/train"
    ):
        load_dataset("folder", STANDARD, settings=settings)


def test_unknown_names_are_answered_with_the_known(settings: Settings) -> None:
    with pytest.raises(DataError, match="unknown dataset 'cifar'; did you mean cifar10"):
        load_dataset("cifar", STANDARD, settings=settings)


@pytest.mark.slow
def test_synthetic_at_full_size_is_what_it_was(settings: Settings) -> None:
    """Studies store the fingerprint: other bytes on another machine would be refused as other data."""
    found = load_dataset("synthetic", STANDARD, settings=settings)
    assert found.fingerprint.startswith("b68ebd79e6fc37ee")
    assert len(found.train_labels) == 10_000 and len(found.test_labels) == 2_000


def test_warnings_are_kept_with_the_cached_images(tmp_path: Path, make_class: MakeClass) -> None:
    for name in ("cat", "dog"):
        make_class(tmp_path / "images" / name, 12)
    make_class(tmp_path / "images" / "cat", 1, (1, 1), ".gif")
    (tmp_path / "images" / "cat" / "000.gif").rename(
        os.fsdecode(os.fsencode(tmp_path) + b"/images/cat/\xe9.gif")
    )
    (tmp_path / "images" / "cat" / "notes.txt").touch()
    for _ in range(2):  # decoded, then read from the cache
        found = load_dataset(
            "folder", STANDARD, root=tmp_path / "images", settings=Settings(cache=tmp_path / "cache")
        )
        assert found.warnings == (
            "1 file is left out: not an image format that Pillow reads here (1 .txt)",
            rf"1 image has a single color: {tmp_path}/images/cat/\xe9.gif",
        )


def test_a_folder_is_listed_once(
    tmp_path: Path, settings: Settings, make_class: MakeClass, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cat", "dog"):
        make_class(tmp_path / "images" / name)
    listed = []
    monkeypatch.setattr(folder, "list_images", lambda root, _: listed.append(root) or list_images(root))
    images = find_images("folder", tmp_path / "images", settings)
    images.survey()
    assert load_images("folder", images, STANDARD, settings).classes == ("cat", "dog")
    assert listed == [tmp_path / "images"]
