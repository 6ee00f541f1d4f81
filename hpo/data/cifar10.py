"""CIFAR-10: torchvision's files, an image folder, or a download."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hpo.data.cache import Bytes, Decoded, DecodedSplit, Source, source_signature
from hpo.data.download import download, why_unreachable
from hpo.data.folder import folder_source
from hpo.data.layout import find_layout
from hpo.errors import DataError
from hpo.files import cannot_write, temporary_beside
from hpo.settings import expanded

_declared: list[Any] = []  # a torch Library removes its declarations when it is garbage-collected


def import_torchvision() -> ModuleType:
    """Import torchvision with its ``datasets``. Raises ``ImportError`` if it is not installed."""
    try:
        return _import()
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        _declare_operators()
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        return _import()


def _import() -> ModuleType:
    importlib.import_module("torchvision.datasets")
    return sys.modules["torchvision"]


def _declare_operators() -> None:
    from torch.library import Library

    library = Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


BATCHES = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
IMAGES = "cifar10"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_BYTES = 170_498_071
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BATCH_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_COUNT = 60_000


def cifar10_advice(data: Path) -> str:
    """Return instructions for getting CIFAR-10, for the end of an error message."""
    return (
        "Three ways to get CIFAR-10:\n"
        f"  1. let hpo download it once: {URL} must be reachable;\n"
        f"  2. put torchvision's {BATCHES}/ or {ARCHIVE} into {data} ($HPO_DATA);\n"
        f"  3. put images into {data / IMAGES}/train/<class>/ and .../test/<class>/ (jpg or png).\n"
        "Or use dataset: synthetic, which needs no files."
    )


def found_on_disk(data: Path) -> Path | None:
    """Return the path of CIFAR-10 in the data folder, or ``None``; it is not opened.

    Raises ``DataError`` if the folder cannot be read.
    """
    places = (data / BATCHES, data / IMAGES, data / ARCHIVE)
    try:
        return next((place for place in places if place.exists()), None)
    except OSError as error:
        raise DataError(
            f"cannot read {data} ($HPO_DATA): {error.strerror}\n{cifar10_advice(data)}"
        ) from error


def why_not_downloadable(seconds: float) -> str | None:
    """Return ``None`` if the download server answers within ``seconds``, otherwise the reason."""
    return why_unreachable(URL, ARCHIVE_BYTES, seconds)


def cifar10_source(data: Path) -> Source:
    """Return CIFAR-10 from the data folder; download or unpack it if necessary.

    Raises ``DataError`` if it is not available, incomplete or damaged.
    """
    data = expanded(data).absolute()
    advice = cifar10_advice(data)
    try:
        place = found_on_disk(data)
        if place == data / IMAGES:
            return _image_source(place, advice)
        if place is None:
            _download(data, advice)
        if place != data / BATCHES:
            _unpack(data, advice)
        return _batch_source(data, advice)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read CIFAR-10 at {error.filename or data}: {reason}\n{advice}") from error


def _image_source(images: Path, advice: str) -> Source:
    source = folder_source(images, name="cifar10", advice=advice)
    if find_layout(images).test is None:
        raise DataError(f"there is no folder {images / 'test'}\n{advice}")
    if source.classes != CLASSES:
        missing = ", ".join(sorted(set(CLASSES) - set(source.classes))) or "none"
        extra = ", ".join(sorted(set(source.classes) - set(CLASSES))) or "none"
        raise DataError(
            f"{images} does not hold CIFAR-10's classes (missing: {missing}; unknown: {extra}); "
            f"for other images use dataset: folder with data_root: {images}\n{advice}"
        )
    return source


def _download(data: Path, advice: str) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        download(URL, data / ARCHIVE, ARCHIVE_MD5)
    except DataError as error:
        raise DataError(f"CIFAR-10 is not in {data}, and {error}\n{advice}") from error
    except OSError as error:
        raise cannot_write("CIFAR-10's archive", data / ARCHIVE, "HPO_DATA", error, ARCHIVE_BYTES) from error


def _unpack(data: Path, advice: str) -> None:
    """Unpack the archive into its own folder, atomically."""
    archive = data / ARCHIVE
    if not _intact(archive, ARCHIVE_MD5):
        raise DataError(f"{archive} is damaged or incomplete: delete it and try again\n{advice}")
    temporary = temporary_beside(data / BATCHES)
    try:
        temporary.mkdir()
        with tarfile.open(archive) as tar:
            for name in _BATCH_FILES:
                _extract(tar, f"{BATCHES}/{name}", temporary / name)
        if not (data / BATCHES).exists():
            temporary.replace(data / BATCHES)
    except OSError as error:
        raise cannot_write("CIFAR-10", data / BATCHES, "HPO_DATA", error, ARCHIVE_BYTES) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract(tar: tarfile.TarFile, member: str, path: Path) -> None:
    content = tar.extractfile(member)
    assert content is not None, f"{member} is not a file"
    with content, path.open("xb") as handle:
        shutil.copyfileobj(content, handle)


def _intact(path: Path, md5: str) -> bool:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


def _batch_source(data: Path, advice: str) -> Source:
    folder = data / BATCHES
    missing = [name for name in _BATCH_FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} is incomplete, missing {', '.join(missing)}: delete it and try again\n{advice}"
        )
    status = [(folder / name).stat() for name in _BATCH_FILES]
    return Source(
        name="cifar10",
        classes=CLASSES,
        count=_COUNT,
        origin=f"CIFAR-10 in {folder} (50,000 train, 10,000 test)",
        signature=source_signature([folder, *((file.st_size, file.st_mtime_ns) for file in status)]),
        decode=lambda: _decode(data, advice),
    )


def _decode(data: Path, advice: str) -> Decoded:
    """Read the batches through torchvision, each file only after verifying its MD5 sum."""
    dataset = import_torchvision().datasets.CIFAR10
    sums = dict([*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])])
    damaged = [
        str(data / BATCHES / name) for name, md5 in sums.items() if not _intact(data / BATCHES / name, md5)
    ]
    if damaged:
        raise DataError(
            f"damaged (the MD5 sum is not CIFAR-10's): {', '.join(damaged)}\n"
            f"Delete {data / BATCHES} and try again.\n{advice}"
        )
    train, test = dataset(data, train=True), dataset(data, train=False)
    return Decoded(_part(train.data, train.targets), _part(test.data, test.targets))


def _part(images: Bytes, targets: list[int]) -> DecodedSplit:
    """Return torchvision's images (N, 32, 32, 3) and labels as a split."""
    return DecodedSplit(np.array(targets, dtype=np.int64), _chunks(images))


def _chunks(images: Bytes) -> Iterator[Bytes]:
    for start in range(0, len(images), 1000):
        yield images[start : start + 1000].transpose(0, 3, 1, 2)
