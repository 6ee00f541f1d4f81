"""CIFAR-10 in each of its forms, made small, and what is said about wrong ones."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data import cifar10
from hpo.data.cache import Bytes, DecodedSplit
from hpo.data.cifar10 import (
    ARCHIVE,
    BATCHES,
    CLASSES,
    cifar10_advice,
    cifar10_source,
    found_on_disk,
    import_torchvision,
)
from hpo.errors import DataError

MakeClass = Callable[..., None]
BATCH = 4
_random = np.random.default_rng(0)
PIXELS = _random.integers(0, 256, (6 * BATCH, 3, 32, 32), np.uint8)
LABELS = _random.integers(0, 10, 6 * BATCH)


def batch_files() -> dict[str, bytes]:
    """The files of the archive as its authors write them: four images in each of six batches."""
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    files = {
        name: pickle.dumps(
            {
                "data": PIXELS[i * BATCH : (i + 1) * BATCH].reshape(BATCH, -1),
                "labels": LABELS[i * BATCH : (i + 1) * BATCH].tolist(),
            }
        )
        for i, name in enumerate(names)
    }
    return {**files, "batches.meta": pickle.dumps({"label_names": list(CLASSES)})}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The small files, whose checksums torchvision now takes for the right ones."""
    files = batch_files()
    dataset = import_torchvision().datasets.CIFAR10
    sums = [[name, md5(content)] for name, content in files.items()]
    monkeypatch.setattr(dataset, "train_list", sums[:5])
    monkeypatch.setattr(dataset, "test_list", sums[5:6])
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": sums[6][1]})
    return files


def put_batches(data: Path, files: dict[str, bytes]) -> None:
    (data / BATCHES).mkdir()
    for name, content in files.items():
        (data / BATCHES / name).write_bytes(content)


def archive_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{BATCHES}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def archive(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> bytes:
    packed = archive_of(files)
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(packed))
    return packed


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, path: Path, md5: str) -> None:
        raise DataError(f"cannot download {url}: no network")

    monkeypatch.setattr(cifar10, "download", fail)


def pixels(part: DecodedSplit) -> Bytes:
    return np.concatenate(list(part.chunks))


def check(data: Path) -> None:
    decoded = cifar10_source(data).decode()
    assert np.array_equal(pixels(decoded.train), PIXELS[:20])
    assert np.array_equal(pixels(decoded.test), PIXELS[20:])
    assert np.array_equal(decoded.train.labels, LABELS[:20])
    assert np.array_equal(decoded.test.labels, LABELS[20:])


def test_constants_are_torchvisions() -> None:
    dataset = import_torchvision().datasets.CIFAR10
    assert dataset.url == cifar10.URL
    assert dataset.tgz_md5 == cifar10.ARCHIVE_MD5
    assert (dataset.base_folder, dataset.filename) == (BATCHES, ARCHIVE)
    names = [name for name, _ in dataset.train_list + dataset.test_list] + [dataset.meta["filename"]]
    assert names == list(cifar10._BATCH_FILES)


def test_torchvisions_files(tmp_path: Path, files: dict[str, bytes]) -> None:
    put_batches(tmp_path, files)
    assert found_on_disk(tmp_path) == tmp_path / BATCHES
    check(tmp_path)


def test_the_archive_is_unpacked(tmp_path: Path, archive: bytes) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive)
    assert found_on_disk(tmp_path) == tmp_path / ARCHIVE
    check(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BATCHES, ARCHIVE]


def test_what_is_missing_is_downloaded(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, path: Path, md5: str) -> None:
        assert (url, md5) == (cifar10.URL, cifar10.ARCHIVE_MD5)
        path.write_bytes(archive)

    monkeypatch.setattr(cifar10, "download", fetch)
    check(tmp_path / "new" / "folder")


def test_image_folders(tmp_path: Path, make_class: MakeClass) -> None:
    for name in CLASSES:
        make_class(tmp_path / "cifar10" / "train" / name, 3, suffix=".jpg")
        make_class(tmp_path / "cifar10" / "test" / name, 1, suffix=".png")
    source = cifar10_source(tmp_path)
    assert found_on_disk(tmp_path) == tmp_path / "cifar10"
    assert (source.name, source.classes, source.count) == ("cifar10", CLASSES, 40)


def test_nothing_there_and_no_network(tmp_path: Path, no_network: None) -> None:
    assert found_on_disk(tmp_path) is None
    with pytest.raises(DataError) as caught:
        cifar10_source(tmp_path)
    first, _, rest = str(caught.value).partition("\n")
    assert first == f"CIFAR-10 is not in {tmp_path}, and cannot download {cifar10.URL}: no network"
    assert rest == cifar10_advice(tmp_path)


def test_the_advice_names_three_ways_and_synthetic(tmp_path: Path) -> None:
    advice = cifar10_advice(tmp_path)
    for said in (
        cifar10.URL,
        f"{BATCHES}/ or {ARCHIVE}",
        f"{tmp_path}/cifar10/train/<class>/",
        "dataset: synthetic",
    ):
        assert said in advice


def expect_error(data: Path, *said: str) -> None:
    """The source or its decoding fails, and says so with the ways to get data."""
    with pytest.raises(DataError) as caught:
        cifar10_source(data).decode()
    for words in (*said, cifar10_advice(data)):
        assert words in str(caught.value)


def test_a_damaged_batch_is_named_and_not_unpickled(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_batches(tmp_path, {**files, "data_batch_3": b"cos\nsystem\n(S'false'\ntR."})
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    expect_error(tmp_path, "the MD5 sum is not CIFAR-10's", str(tmp_path / BATCHES / "data_batch_3"))


def test_missing_batches_are_named(tmp_path: Path, files: dict[str, bytes]) -> None:
    put_batches(tmp_path, {name: files[name] for name in list(files)[:4]})
    expect_error(
        tmp_path, f"{tmp_path / BATCHES} is incomplete, missing data_batch_5, test_batch, batches.meta"
    )


def test_a_damaged_archive_is_named(tmp_path: Path, archive: bytes) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive[:-50])
    expect_error(tmp_path, f"{tmp_path / ARCHIVE} is damaged or incomplete: delete it and try again")


def test_a_disk_that_fills_up_while_unpacking(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / ARCHIVE).write_bytes(archive)
    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(DataError, match=r"the disk is full .*170 MB at .*\n.*HPO_DATA"):
        cifar10_source(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]


def test_other_classes(tmp_path: Path, make_class: MakeClass) -> None:
    for part in ("train", "test"):
        for name in (*CLASSES[:-1], "lorry"):
            make_class(tmp_path / "cifar10" / part / name, 1)
    expect_error(
        tmp_path,
        "does not hold CIFAR-10's classes (missing: truck; unknown: lorry)",
        f"use dataset: folder with data_root: {tmp_path / 'cifar10'}",
    )


def test_image_folders_of_other_case_are_splits(tmp_path: Path, make_class: MakeClass) -> None:
    for part in ("Train", "Test"):
        for name in CLASSES:
            make_class(tmp_path / "cifar10" / part / name, 1)
    assert cifar10_source(tmp_path).origin.endswith("(10 train, 10 test)")


def test_image_folders_without_test(tmp_path: Path, make_class: MakeClass) -> None:
    for name in CLASSES:
        make_class(tmp_path / "cifar10" / "train" / name, 2)
    expect_error(tmp_path, f"there is no folder {tmp_path / 'cifar10' / 'test'}")


def test_an_empty_image_folder(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    expect_error(tmp_path, f"{tmp_path / 'cifar10'} has no class folders")


def test_a_data_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "exists", deny)
    with pytest.raises(DataError, match=r"cannot read .*HPO_DATA\): Permission denied\nThree ways"):
        found_on_disk(tmp_path)


def test_data_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"at .*file.*\n.*HPO_DATA"):
        cifar10_source(tmp_path / "file")
