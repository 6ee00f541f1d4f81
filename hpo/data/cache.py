"""Decoded and preprocessed images on disk, memory-mapped and shared by all workers of a machine."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from hpo.config.image_format import STANDARD, ImageFormat, Shape
from hpo.data.division import DRAWN, Division
from hpo.files import (
    FileMark,
    cannot_write,
    file_mark,
    locked,
    mark_used,
    remove_leftovers,
    sync_folder,
    temporary_beside,
    write_file,
)

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

FORMAT = 1
_LABEL_BYTES = 8
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedSplit:
    """A split to cache: labels (N,), and chunks of images (n, C, H, W) in the same order."""

    labels: Labels
    chunks: Iterable[Bytes]


@dataclass(frozen=True)
class Decoded:
    """A complete data set to cache. ``warnings`` is called after the chunks were read."""

    train: DecodedSplit
    test: DecodedSplit
    warnings: Callable[[], tuple[str, ...]] = tuple


@dataclass(frozen=True)
class Source:
    """The source of ``count`` images.

    ``signature`` changes when the images change. ``decode`` is called if they are not cached; it may raise
    ``DataError``. ``warnings`` are what the user should know of the source before training.
    """

    name: str
    classes: tuple[str, ...]
    count: int
    origin: str
    signature: str
    decode: Callable[[], Decoded]
    warnings: tuple[str, ...] = ()
    format: ImageFormat = STANDARD
    """Of the images that ``decode`` returns."""
    division: Division = DRAWN
    """Of the training images, of which a validation split that they came with is the last part."""


class Meta(BaseModel):
    """The contents of ``meta.json`` in a cache folder."""

    format: int
    classes: tuple[str, ...]
    origin: str
    fingerprint: str
    files: dict[str, FileMark]
    warnings: tuple[str, ...] = ()
    """What decoding found; kept, so that it is reported each time the images are used."""


@dataclass(frozen=True)
class Cached:
    """An open cache folder; images are read-only memory maps (N, C, H, W) uint8, labels (N,) int64."""

    meta: Meta
    arrays: dict[str, npt.NDArray[Any]]


class _DamagedError(Exception):
    """A cache folder cannot be used; the message is the reason."""


def cached(source: Source, root: Path) -> Cached:
    """Return the decoded images of a source from the cache in ``root``; decode them if necessary.

    A damaged cache is rebuilt with a warning. Raises ``DataError`` if it cannot be written or read.
    """
    folder = root / "datasets" / f"{source.name}-{source.signature[:16]}"
    needed = source.count * (source.format.values + _LABEL_BYTES)
    try:
        found = _open_or_warn(folder)
        if found is None:
            with locked(folder) as alone:
                found = _open_or_none(folder) or _build(source, folder, needed, alone)
        return found
    except OSError as error:
        raise cannot_write("the image cache", folder, "HPO_CACHE", error, needed) from error


def _open_or_warn(folder: Path) -> Cached | None:
    try:
        return _open(folder)
    except FileNotFoundError:
        return None
    except _DamagedError as damage:
        logger.warning("the image cache %s is damaged (%s); rebuilding it", folder, damage)
        return None


def _open_or_none(folder: Path) -> Cached | None:
    try:
        return _open(folder)
    except (FileNotFoundError, _DamagedError):
        return None


def _open(folder: Path) -> Cached:
    text = (folder / "meta.json").read_bytes()
    try:
        meta = Meta.model_validate_json(text)
    except ValidationError as error:
        raise _DamagedError("meta.json cannot be read") from error
    if meta.format != FORMAT:
        raise _DamagedError(f"its format is {meta.format}, this version writes {FORMAT}")
    found = Cached(meta, {name: _open_array(folder / f"{name}.npy", meta) for name in _ARRAYS})
    mark_used(folder / "meta.json")
    return found


def _open_array(path: Path, meta: Meta) -> npt.NDArray[Any]:
    try:
        whole = meta.files.get(path.name) == file_mark(path)
    except FileNotFoundError as error:
        raise _DamagedError(f"{path.name} is missing") from error
    if not whole:
        raise _DamagedError(f"{path.name} does not match meta.json")
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _build(source: Source, folder: Path, needed: int, alone: bool) -> Cached:
    if alone:
        remove_leftovers(folder)
    temporary = temporary_beside(folder)
    try:
        temporary.mkdir()
        free = shutil.disk_usage(temporary).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{free / 1e6:,.0f} MB are free")
        _write(source, temporary)
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _open(folder)


def _write(source: Source, folder: Path) -> None:
    decoded = source.decode()
    contents = hashlib.sha256(json.dumps([*source.classes, *source.format.signature]).encode())
    for name, part in (("train", decoded.train), ("test", decoded.test)):
        labels = np.ascontiguousarray(part.labels, dtype="<i8")
        contents.update(f"{name} {len(labels)}".encode())
        contents.update(labels.tobytes())
        write_file(folder / f"{name}_labels.npy", partial(np.save, arr=labels))
        write_images = partial(_write_images, part=part, shape=source.format.shape, update=contents.update)
        write_file(folder / f"{name}_images.npy", write_images)
    meta = Meta(
        format=FORMAT,
        classes=source.classes,
        origin=source.origin,
        fingerprint=contents.hexdigest(),
        files={path.name: file_mark(path) for path in sorted(folder.glob("*.npy"))},
        warnings=decoded.warnings(),
    )
    write_file(folder / "meta.json", partial(_write_text, text=meta.model_dump_json(indent=2)))


def _write_images(
    handle: BinaryIO, part: DecodedSplit, shape: Shape, update: Callable[[bytes], None]
) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(part.labels), *shape)}
    np.lib.format.write_array_header_1_0(handle, header)
    written = 0
    for chunk in part.chunks:
        data = np.ascontiguousarray(chunk, dtype=np.uint8).tobytes()
        handle.write(data)
        update(data)
        written += len(chunk)
    assert written == len(part.labels), f"images: {written}, labels: {len(part.labels)}"


def _write_text(handle: BinaryIO, text: str) -> None:
    handle.write(text.encode())


def _publish(temporary: Path, folder: Path) -> None:
    """Move a finished folder into place, unless another process has already put an identical one there."""
    if folder.exists() and _open_or_none(folder) is None:
        aside = temporary_beside(folder)
        folder.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        temporary.replace(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    sync_folder(folder.parent)


def source_signature(parts: Iterable[Any]) -> str:
    """Return the hexadecimal SHA-256 of a description of a source."""
    digest = hashlib.sha256()
    digest.update(os.fsencode("\0".join(str(part) for part in parts)))
    return digest.hexdigest()


Halves: TypeAlias = npt.NDArray[np.float16]
Make: TypeAlias = Callable[[], Iterable[Halves]]
"""Yields all images in order, in chunks (b, C, H, W)."""

KEPT = 4
"""Number of sets kept on disk, 300 MB each for CIFAR-10. A removed one stays usable where it is mapped."""


def preprocessed_images(name: str, shape: tuple[int, ...], make: Make, cache: Path) -> Halves:
    """Return the images (N, C, H, W) called ``name`` as a read-only memory map; compute them if necessary.

    If ``cache`` cannot be written, they are computed in memory, with a warning.
    """
    path = cache / "preprocessed" / name / "images.npy"
    try:
        with locked(path.parent):
            found = _read(path)
            if found is None:
                _remove_oldest(path.parent.parent, KEPT - 1)
                path.parent.mkdir(exist_ok=True)
                remove_leftovers(path)
                _write_preprocessed(path, shape, make)
                found = np.load(path, mmap_mode="r", allow_pickle=False)
        return found
    except OSError as error:
        logger.warning(
            "cannot cache preprocessed images in %s (%s); keeping them in this worker's memory", path, error
        )
        return _in_memory(shape, make)


def _read(path: Path) -> Halves | None:
    try:
        mark = FileMark.model_validate_json(path.with_suffix(".json").read_bytes())
        whole = mark == file_mark(path)
    except FileNotFoundError:
        return None
    except ValidationError:
        whole = False
    if not whole:
        logger.warning("the preprocessed images %s are damaged; computing them again", path)
        return None
    mark_used(path)
    images: Halves = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def _write_preprocessed(path: Path, shape: tuple[int, ...], make: Make) -> None:
    write_file(path, partial(_write_preprocessed_images, shape=shape, make=make))
    text = file_mark(path).model_dump_json().encode()
    write_file(path.with_suffix(".json"), partial(_write_bytes, content=text))


def _write_preprocessed_images(handle: BinaryIO, shape: tuple[int, ...], make: Make) -> None:
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)
    written = 0
    for chunk in make():
        handle.write(np.ascontiguousarray(chunk, dtype="<f2").data)
        written += len(chunk)
    assert written == shape[0], f"images: {written} of {shape[0]}"


def _in_memory(shape: tuple[int, ...], make: Make) -> Halves:
    images = np.empty(shape, np.float16)
    filled = 0
    for chunk in make():
        images[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return images


def _write_bytes(handle: BinaryIO, content: bytes) -> None:
    handle.write(content)


def _remove_oldest(folder: Path, kept: int) -> None:
    """Keep only the ``kept`` most recently used sets; other processes may remove some at the same time."""
    used = {}
    for path in folder.glob("*/images.npy"):
        try:
            used[path.parent] = path.stat().st_mtime
        except FileNotFoundError:
            continue
    for each in sorted(used, key=lambda each: used[each], reverse=True)[kept:]:
        shutil.rmtree(each, ignore_errors=True)
        each.with_name(f".{each.name}.lock").unlink(missing_ok=True)
