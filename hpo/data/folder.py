"""Images in one folder per class: listed, checked, decoded to 32 x 32 RGB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels, Source, source_signature
from hpo.data.images import EXTENSIONS, decode_or_reason
from hpo.data.layout import LayoutError, class_folders, find_layout
from hpo.data.progress import progress_bar
from hpo.errors import DataError
from hpo.files import path_text

TEST_SHARE = 0.1
FOLDER_HELP = (
    "Expected: ROOT/train/<class>/*.jpg (or png, ...) with two or more classes, and optionally "
    "ROOT/test/<class>/*.jpg.\nOr use dataset: cifar10, or dataset: synthetic, which needs no files."
)
_CHUNK = 512  # images decoded between two writes
_SHOWN = 5  # damaged files named in one error


class ImageFile(NamedTuple):
    """An image in a class folder; ``size`` in bytes and ``mtime_ns`` show whether it has changed."""

    path: str
    class_name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """The sorted contents of an image folder; ``held_out``: whether test was held out from train."""

    classes: tuple[str, ...]
    train: list[ImageFile]
    test: list[ImageFile]
    held_out: bool
    warnings: tuple[str, ...] = ()


def folder_source(root: Path, *, name: str = "folder", advice: str = FOLDER_HELP) -> Source:
    """Return the images below ``root``, listed now; pixels are read when ``decode`` is called.

    Raises ``DataError`` for a folder that cannot be used, with ``advice`` where the layout is the problem.
    """
    root = root.expanduser().absolute()
    try:
        listing = list_images(root)
        origin = f"images in {path_text(root)} ({len(listing.train):,} train, {len(listing.test):,} test"
        origin += (
            f"; no test folder, so {TEST_SHARE:.0%} of each class was held out)" if listing.held_out else ")"
        )
        return Source(
            name=name,
            classes=listing.classes,
            count=len(listing.train) + len(listing.test),
            origin=origin,
            signature=source_signature([root, *listing.train, "test", *listing.test]),
            decode=lambda: _decode(root, listing),
            warnings=listing.warnings,
        )
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root}: {error.strerror}") from error
    except LayoutError as error:
        raise DataError(f"{error}\n{advice}" if error.advise else str(error)) from error


def list_images(root: Path) -> Listing:
    """List the images of ``root/train`` and ``root/test``, or of the class folders in ``root`` itself.

    Raises ``LayoutError``, and ``OSError`` for what cannot be read.
    """
    if not root.exists():
        raise LayoutError(f"there is no folder {root}", advise=True)
    if not root.is_dir():
        raise LayoutError(f"{root} is a file, not a folder of images", advise=True)
    layout = find_layout(root)
    train_folders = class_folders(layout.train)
    train = _list_classes(train_folders)
    classes = tuple(train)
    if layout.test is None:
        kept, held_out = _hold_out(layout.train, train)
        return Listing(classes, kept, held_out, held_out=True, warnings=layout.warnings)
    test_folders = class_folders(layout.test)
    _check_same_classes(layout.train, train_folders.keys(), layout.test, test_folders.keys())
    test = _list_classes(test_folders)
    return Listing(classes, _flat(train), _flat(test), held_out=False, warnings=layout.warnings)


def _list_classes(folders: Mapping[str, Path]) -> dict[str, list[ImageFile]]:
    """Return the image files of each class folder. Raises ``LayoutError`` if a class is empty."""
    found = {name: sorted(_scan(folder, name)) for name, folder in folders.items()}
    empty = [str(folders[name]) for name, files in found.items() if not files]
    if empty:
        raise LayoutError(
            f"no images in class folder {', '.join(empty)}: add images, or remove what is not a class"
        )
    return found


def _scan(folder: Path, class_name: str) -> Iterator[ImageFile]:
    """Yield every image below a class folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _scan(Path(entry.path), class_name)
            elif _is_image(entry):
                status = entry.stat()
                yield ImageFile(entry.path, class_name, status.st_size, status.st_mtime_ns)


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in EXTENSIONS  # noqa: PTH122 - five times as fast as Path


def _flat(found: dict[str, list[ImageFile]]) -> list[ImageFile]:
    return [file for files in found.values() for file in files]


def _check_same_classes(train: Path, trained: Set[str], test: Path, tested: Set[str]) -> None:
    missing = [
        f"{folder} is missing the class {', '.join(sorted(names))}"
        for folder, names in ((test, trained - tested), (train, tested - trained))
        if names
    ]
    if missing:
        raise LayoutError(" and ".join(missing))


def _hold_out(root: Path, found: dict[str, list[ImageFile]]) -> tuple[list[ImageFile], list[ImageFile]]:
    """Hold out a share of each class, at least one image: those with the lowest hashes of their names.

    The hash depends only on the name, so adding images leaves most others in the split they were in.
    """
    kept: list[ImageFile] = []
    held_out: list[ImageFile] = []
    for class_name, files in found.items():
        if len(files) < 2:
            raise LayoutError(
                f"class {class_name} has only one image in {root}; at least two are needed to hold one out "
                "for test"
            )
        by_hash = sorted(files, key=lambda file: _name_hash(file, root))
        count = max(1, round(TEST_SHARE * len(files)))
        held_out += sorted(by_hash[:count])
        kept += sorted(by_hash[count:])
    return kept, held_out


def _name_hash(file: ImageFile, root: Path) -> bytes:
    return hashlib.sha256(os.fsencode(os.path.relpath(file.path, root))).digest()


def _decode(root: Path, listing: Listing) -> Decoded:
    label = {name: i for i, name in enumerate(listing.classes)}

    def part(name: str, files: list[ImageFile]) -> DecodedSplit:
        what = f"decoding {name} images of {path_text(root)}"
        return DecodedSplit(_labels(files, label), _decode_chunks(files, what))

    return Decoded(part("train", listing.train), part("test", listing.test))


def _labels(files: list[ImageFile], label: dict[str, int]) -> Labels:
    return np.array([label[file.class_name] for file in files], dtype=np.int64)


def _decode_chunks(files: list[ImageFile], what: str) -> Iterator[Bytes]:
    with progress_bar(f"{what} ({len(files):,})", len(files)) as advance, ThreadPoolExecutor() as pool:
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            decoded = list(pool.map(decode_or_reason, (Path(file.path) for file in chunk)))
            damaged = [
                f"{file.path}: {image}"
                for file, image in zip(chunk, decoded, strict=True)
                if isinstance(image, str)
            ]
            if damaged:
                raise DataError(_damage_report(damaged))
            yield np.stack([image.pixels for image in decoded if not isinstance(image, str)])
            advance(len(chunk))


def _damage_report(damaged: list[str]) -> str:
    more = f"\n  and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
    listing = "".join(f"\n  {line}" for line in damaged[:_SHOWN])
    return f"{len(damaged)} image(s) cannot be read; repair or remove them:{listing}{more}"
