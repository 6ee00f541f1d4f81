"""Published data sets in the files that torchvision reads, made small; and the digits of scikit-learn."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from hpo.config.datasets import DATASETS, OF_FILES
from hpo.config.image_format import ImageFormat
from hpo.data.cifar10 import import_torchvision
from hpo.data.datasets import find_images, load_dataset
from hpo.data.published import PUBLISHED, TRAINED_DIGITS, digits_source, published_source
from hpo.errors import DataError
from hpo.settings import Settings

COUNT = 6
_random = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 3, 4, 5])
COLOR = _random.integers(0, 256, (COUNT, 3, 32, 32), np.uint8)
GRAY = _random.integers(0, 256, (COUNT, 28, 28), np.uint8)
LARGE = _random.integers(0, 256, (COUNT, 3, 96, 96), np.uint8)


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def put(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def put_idx(name: str, data: Path, patch: Any) -> None:
    images = GRAY.swapaxes(1, 2) if name == "emnist" else GRAY
    for place, values in zip(PUBLISHED[name].files, (images, LABELS, images, LABELS), strict=True):
        put(data / place, idx(values))


def put_cifar100(_: str, data: Path, patch: Any) -> None:
    reader = import_torchvision().datasets.CIFAR100
    batch = {"data": COLOR.reshape(COUNT, -1), "fine_labels": LABELS.tolist()}
    sums = [put(data / "cifar-100-python" / each, pickle.dumps(batch)) for each in ("train", "test")]
    names = pickle.dumps({"fine_label_names": list("abcdef")})
    meta = put(data / "cifar-100-python/meta", names)
    patch.setattr(reader, "train_list", [["train", sums[0]]])
    patch.setattr(reader, "test_list", [["test", sums[1]]])
    patch.setattr(reader, "meta", {**reader.meta, "md5": meta})


def put_svhn(_: str, data: Path, patch: Any) -> None:
    reader = import_torchvision().datasets.SVHN
    data.mkdir(parents=True, exist_ok=True)
    lists = {}
    for part in ("train", "test"):
        path = data / f"{part}_32x32.mat"
        labels = np.where(LABELS == 0, 10, LABELS).reshape(-1, 1)  # its zeros are tens
        scipy.io.savemat(path, {"X": COLOR.transpose(2, 3, 1, 0), "y": labels})
        lists[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    patch.setattr(reader, "split_list", lists)


def put_stl10(_: str, data: Path, patch: Any) -> None:
    reader = import_torchvision().datasets.STL10
    folder = data / "stl10_binary"
    images, labels = LARGE.transpose(0, 1, 3, 2).tobytes(), (LABELS + 1).astype(np.uint8).tobytes()
    sums = {
        each: put(folder / each, images if "X" in each else labels)
        for each in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
    }
    names = "".join(f"{each}\n" for each in "abcdefghij").encode()
    put(folder / "class_names.txt", names)
    patch.setattr(reader, "train_list", [[each, sums[each]] for each in ("train_X.bin", "train_y.bin")])
    patch.setattr(reader, "test_list", [[each, sums[each]] for each in ("test_X.bin", "test_y.bin")])


MAKE: dict[str, Callable[[str, Path, Any], None]] = {
    **dict.fromkeys(("mnist", "fashion_mnist", "emnist"), put_idx),
    "cifar100": put_cifar100,
    "svhn": put_svhn,
    "stl10": put_stl10,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_files_are_read_as_the_pictures_they_show(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MAKE[name](name, tmp_path, monkeypatch)
    source = published_source(name, tmp_path)
    decoded = source.decode()
    found = PUBLISHED[name]
    expected = {(28, 28): GRAY[:, None], (32, 32): COLOR, (96, 96): LARGE}[
        found.format.height, found.format.width
    ]
    for part in (decoded.train, decoded.test):
        assert part.labels.tolist() == LABELS.tolist()
        assert np.array_equal(np.concatenate(list(part.chunks)), expected)
    assert source.format == found.format and source.name == name
    assert len(source.classes) >= COUNT and found.title in source.origin


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_files_tell_how_to_get_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = getattr(import_torchvision().datasets, PUBLISHED[name].reader)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(
            "Error downloading x.gz:\nTried http://x, got:\n<urlopen error [Errno -2] no such name>\n"
        )

    monkeypatch.setattr(reader, "download", refuse)
    with pytest.raises(DataError) as caught:
        published_source(name, tmp_path)
    first, *rest = str(caught.value).splitlines()
    assert first == f"{PUBLISHED[name].title} is not in {tmp_path}, and cannot be downloaded: no such name"
    assert PUBLISHED[name].files[0] in rest[0] and "dataset: digits" in rest[1]


def test_an_incomplete_set_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_idx("mnist", tmp_path, monkeypatch)
    lost = tmp_path / PUBLISHED["mnist"].files[3]
    lost.unlink()
    with pytest.raises(DataError, match=f"MNIST is incomplete, missing {lost}: delete its other files"):
        published_source("mnist", tmp_path)


@pytest.mark.parametrize("name", ["mnist", "cifar100", "svhn", "stl10"])
def test_damaged_files_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MAKE[name](name, tmp_path, monkeypatch)
    path = tmp_path / PUBLISHED[name].files[0]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{PUBLISHED[name].title} in .* is damaged \(.*delete "):
        published_source(name, tmp_path).decode()


def test_digits_are_those_of_scikit_learn_with_other_writers_in_test() -> None:
    source = digits_source()
    decoded = source.decode()
    images = np.concatenate(list(decoded.train.chunks))
    assert images.shape == (TRAINED_DIGITS, 1, 8, 8) and images.max() == 255 and images.min() == 0
    assert len(decoded.test.labels) == 297 and decoded.test.labels.max() == 9
    assert source.classes == tuple("0123456789") and source.format == ImageFormat(8, 8, 1)


def test_digits_load_in_any_format(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, cache=tmp_path / "cache")
    found = load_dataset("digits", ImageFormat(16, 16, 3), settings=settings)
    assert found.train_images.shape == (TRAINED_DIGITS, 3, 16, 16)
    assert (found.train_images[:, 0] == found.train_images[:, 2]).all()


def test_each_name_leads_to_images(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, cache=tmp_path / "cache")
    for name in {*DATASETS} - {"auto", *OF_FILES, *PUBLISHED, "cifar10"}:
        survey, count = find_images(name, None, settings).survey()
        assert count > 0 and survey.sizes
    for name in OF_FILES:
        with pytest.raises(DataError, match=f"dataset: {name} needs data_root, the "):
            find_images(name, None, settings)
    with pytest.raises(DataError, match="unknown dataset 'cifar11'; did you mean cifar10"):
        find_images("cifar11", None, settings)
