"""Published data sets that torchvision downloads, verifies and reads, and the digits of scikit-learn."""

from __future__ import annotations

import contextlib
import io
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.config.image_format import ImageFormat
from hpo.data.arrays import as_bytes
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Source, source_signature
from hpo.data.cifar10 import import_torchvision
from hpo.errors import DataError
from hpo.files import locked
from hpo.settings import expanded

_SILENCE_SECONDS = 30.0
_URL_ERROR = re.compile(r"<urlopen error (?:\[Errno -?\d+\] )?(.*?)>")
"""What torchvision says of each server that it tried, at length."""
_AT_ONCE = 1000
_Parts = tuple[dict[str, Any], dict[str, Any]]
_TRAIN_TEST: _Parts = ({"train": True}, {"train": False})
_SPLITS: _Parts = ({"split": "train"}, {"split": "test"})
_EMNIST: _Parts = ({"split": "balanced", "train": True}, {"split": "balanced", "train": False})
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"


@dataclass(frozen=True)
class Published:
    """A data set of torchvision: its class there, the arguments of both splits, and its files."""

    title: str
    reader: str
    parts: _Parts
    files: tuple[str, ...]
    """Below the data folder, as torchvision unpacks them."""
    megabytes: int
    """To download."""
    format: ImageFormat
    counts: tuple[int, int]
    class_count: int
    classes: tuple[str, ...] = ()
    """Names of the classes, if torchvision does not have them as they are to be shown."""
    transposed: bool = False
    """Whether the files have rows and columns exchanged."""


def _mnist_files(folder: str, stems: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/raw/{stem}" for stem in stems)


_IDX = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
_EMNIST_IDX = tuple(
    f"emnist-balanced-{part}-{kind}-ubyte"
    for part in ("train", "test")
    for kind in ("images-idx3", "labels-idx1")
)
_GRAY_28 = ImageFormat(28, 28, 1)
_COLOR_32 = ImageFormat(32, 32, 3)
_DIGITS = tuple("0123456789")
PUBLISHED: dict[str, Published] = {
    "cifar100": Published(
        title="CIFAR-100",
        reader="CIFAR100",
        parts=_TRAIN_TEST,
        files=tuple(f"cifar-100-python/{each}" for each in ("train", "test", "meta")),
        megabytes=169,
        format=_COLOR_32,
        counts=(50_000, 10_000),
        class_count=100,
    ),
    "svhn": Published(
        title="SVHN",
        reader="SVHN",
        parts=_SPLITS,
        files=("train_32x32.mat", "test_32x32.mat"),
        megabytes=246,
        format=_COLOR_32,
        counts=(73_257, 26_032),
        class_count=10,
        classes=_DIGITS,
    ),
    "mnist": Published(
        title="MNIST",
        reader="MNIST",
        parts=_TRAIN_TEST,
        files=_mnist_files("MNIST", _IDX),
        megabytes=12,
        format=_GRAY_28,
        counts=(60_000, 10_000),
        class_count=10,
        classes=_DIGITS,
    ),
    "fashion_mnist": Published(
        title="Fashion-MNIST",
        reader="FashionMNIST",
        parts=_TRAIN_TEST,
        files=_mnist_files("FashionMNIST", _IDX),
        megabytes=31,
        format=_GRAY_28,
        counts=(60_000, 10_000),
        class_count=10,
    ),
    "emnist": Published(
        title="EMNIST (balanced)",
        reader="EMNIST",
        parts=_EMNIST,
        files=_mnist_files("EMNIST", _EMNIST_IDX),
        megabytes=562,
        format=_GRAY_28,
        counts=(112_800, 18_800),
        class_count=47,
        classes=(*_DIGITS, *_LETTERS),
        transposed=True,
    ),
    "stl10": Published(
        title="STL-10",
        reader="STL10",
        parts=_SPLITS,
        files=tuple(
            f"stl10_binary/{each}" for each in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
        ),
        megabytes=2640,
        format=ImageFormat(96, 96, 3),
        counts=(5_000, 8_000),
        class_count=10,
    ),
}


def published_source(name: str, data: Path) -> Source:
    """Return a published data set from the data folder; download it if necessary.

    Raises ``DataError`` if it is not available, incomplete or damaged.
    """
    found, data = PUBLISHED[name], expanded(data).absolute()
    files = [data / each for each in found.files]
    try:
        if not any(each.exists() for each in files):
            _download(name, found, data)
        missing = [str(each) for each in files if not each.exists()]
        if missing:
            raise DataError(
                f"{found.title} is incomplete, missing {', '.join(missing)}: delete its other files "
                f"and try again\n"
                f"{_advice(name, data)}"
            )
        status = [each.stat() for each in files]
    except OSError as error:
        raise DataError(
            f"cannot read {error.filename or data}: {error.strerror}\n{_advice(name, data)}"
        ) from error
    train, test = found.counts
    return Source(
        name=name,
        classes=found.classes or _classes(found, data),
        count=sum(found.counts),
        origin=f"{found.title} in {data} ({train:,} train, {test:,} test)",
        signature=source_signature([name, *((each.st_size, each.st_mtime_ns) for each in status)]),
        decode=lambda: _decode(name, found, data),
        format=found.format,
    )


def _advice(name: str, data: Path) -> str:
    found = PUBLISHED[name]
    return (
        f"Two ways to get {found.title}: let hpo download its {found.megabytes:,} MB once, through "
        f"torchvision; or "
        f"put torchvision's files into {data} ($HPO_DATA): {', '.join(found.files)}.\n"
        "Or use dataset: digits or dataset: synthetic, which need no files."
    )


def _reader(found: Published) -> Any:
    return getattr(import_torchvision().datasets, found.reader)


def _download(name: str, found: Published, data: Path) -> None:
    """Let torchvision download and verify all files, in one process at a time."""
    silence = socket.getdefaulttimeout()
    try:
        data.mkdir(parents=True, exist_ok=True)
        with locked(data / f".{name}"):
            socket.setdefaulttimeout(_SILENCE_SECONDS)
            with contextlib.redirect_stdout(io.StringIO()):
                for part in found.parts:
                    _reader(found)(data, **part, download=True)
    except (OSError, RuntimeError, EOFError) as error:  # URLError is an OSError
        found_reason = _URL_ERROR.search(str(error))
        reason = found_reason[1] if found_reason else str(error).partition("\n")[0]
        raise DataError(
            f"{found.title} is not in {data}, and cannot be downloaded: {reason}\n{_advice(name, data)}"
        ) from error
    finally:
        socket.setdefaulttimeout(silence)


def _classes(found: Published, data: Path) -> tuple[str, ...]:
    return tuple(_read(found, data, found.parts[1]).classes)


def _read(found: Published, data: Path, part: dict[str, Any]) -> Any:
    try:
        return _reader(found)(data, **part)
    except Exception as error:  # its readers raise whatever a damaged file leads to
        name = next(each for each, other in PUBLISHED.items() if other is found)
        raise DataError(
            f"{found.title} in {data} is damaged ({type(error).__name__}: {error}): delete "
            f"{', '.join(found.files)} there and try again\n{_advice(name, data)}"
        ) from error


def _decode(name: str, found: Published, data: Path) -> Decoded:
    train, test = (_split(found, _read(found, data, part)) for part in found.parts)
    return Decoded(train, test)


def _split(found: Published, read: Any) -> DecodedSplit:
    labels = read.labels if hasattr(read, "labels") and not hasattr(read, "targets") else read.targets
    images = np.asarray(read.data)
    if found.transposed:
        images = images.swapaxes(1, 2)
    return DecodedSplit(np.asarray(labels, dtype=np.int64), _chunks(images))


def _chunks(images: Bytes) -> Iterator[Bytes]:
    for start in range(0, len(images), _AT_ONCE):
        yield as_bytes(images[start : start + _AT_ONCE])


TRAINED_DIGITS = 1_500
"""The first ones; the others are by other writers."""


def digits_source() -> Source:
    """Return the 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn."""
    from sklearn import __version__
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images * (255 / 16)).round().astype(np.uint8)
    labels = found.target.astype(np.int64)
    first = TRAINED_DIGITS
    make: Callable[[slice], DecodedSplit] = lambda part: DecodedSplit(labels[part], _chunks(images[part]))  # noqa: E731
    return Source(
        name="digits",
        classes=_DIGITS,
        count=len(labels),
        origin=(
            f"digits of scikit-learn {__version__} ({first:,} train, {len(labels) - first:,} "
            f"test, by other writers)"
        ),
        signature=source_signature(["digits", first, images.tobytes(), labels.tobytes()]),
        decode=lambda: Decoded(make(slice(first)), make(slice(first, None))),
        format=ImageFormat(8, 8, 1),
    )
