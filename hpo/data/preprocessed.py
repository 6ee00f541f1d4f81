"""Preprocessed images on disk: made once, then memory-mapped and shared by all workers of a machine.

The last few sets are kept: where a search draws ``whiten_epsilon``, each trial has its own.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from hpo.data.files import FileMark, file_mark, locked, mark_used, remove_leftovers, write_file

Halves: TypeAlias = npt.NDArray[np.float16]
Make: TypeAlias = Callable[[], Iterable[Halves]]
"""Yields all images in turn, some at a time: (b, C, H, W)."""

KEPT = 4
"""Sets on disk, each of 300 MB for CIFAR-10. One that is removed stays with those who have it mapped."""

logger = logging.getLogger(__name__)


def preprocessed_images(name: str, shape: tuple[int, ...], make: Make, cache: Path) -> Halves:
    """The images (N, C, H, W) called ``name``, as a read-only memory map; made if they are not in ``cache``.

    Where that cannot be written they are made in memory, with a warning.
    """
    path = cache / "preprocessed" / name / "images.npy"
    try:
        with locked(path.parent):
            found = _read(path)
            if found is None:
                _remove_oldest(path.parent.parent, KEPT - 1)
                path.parent.mkdir(exist_ok=True)
                remove_leftovers(path)
                _write(path, shape, make)
                found = np.load(path, mmap_mode="r", allow_pickle=False)
        return found
    except OSError as error:
        logger.warning("this worker holds its preprocessed images itself, as %s is no place: %s", path, error)
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
        logger.warning("the preprocessed images %s are damaged; making them again", path)
        return None
    mark_used(path)
    images: Halves = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def _write(path: Path, shape: tuple[int, ...], make: Make) -> None:
    write_file(path, partial(_write_images, shape=shape, make=make))
    text = file_mark(path).model_dump_json().encode()
    write_file(path.with_suffix(".json"), partial(_write_bytes, content=text))


def _write_images(handle: BinaryIO, shape: tuple[int, ...], make: Make) -> None:
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)
    written = 0
    for chunk in make():
        handle.write(np.ascontiguousarray(chunk, dtype="<f2").data)
        written += len(chunk)
    assert written == shape[0], f"{written} images of {shape[0]}"


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
    """Leave the ``kept`` that were used last; what other processes remove meanwhile is fine."""
    used = {}
    for path in folder.glob("*/images.npy"):
        try:
            used[path.parent] = path.stat().st_mtime
        except FileNotFoundError:
            continue
    for each in sorted(used, key=lambda each: used[each], reverse=True)[kept:]:
        shutil.rmtree(each, ignore_errors=True)
        each.with_name(f".{each.name}.lock").unlink(missing_ok=True)
