"""Which files are images: one walk for training and for prediction."""

from __future__ import annotations

import errno
import glob
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from hpo.errors import DataError
from hpo.files import path_text
from hpo.text import counted

_NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow identifies, but decodes only with other programs (EPS: Ghostscript), or never."""
_SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)
"""Folders, in lower case, that macOS, Windows, Linux and network drives leave beside images."""


@dataclass(frozen=True)
class FoundImages:
    """Image files, and how many other files were beside them, by lower-case extension."""

    paths: list[Path]
    left_out: Counter[str]


@cache
def formats() -> tuple[str, ...]:
    """Return the image formats that Pillow decodes here, those of its installed plugins included."""
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_PIXELS)


@cache
def extensions() -> frozenset[str]:
    """Return the lower-case file extensions of these formats, with their dots."""
    known = {*formats(), "MPO"}  # MPO is a JPEG file of several pictures; the reader of JPEG opens it
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def is_image(name: str) -> bool:
    """Return whether a file has the extension of an image."""
    return _suffix(name) in extensions()


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def walk_images(folder: Path | str, left_out: Counter[str]) -> Iterator[os.DirEntry[str]]:
    """Yield every image file below a folder, following links; count other files in ``left_out``.

    Hidden files and folders, and those of a system, are passed over. Raises ``OSError`` for a folder that
    cannot be read, and for a link to a folder above it.
    """
    yield from _walk(os.fspath(folder), left_out, frozenset())


def _walk(
    folder: str, left_out: Counter[str], above: frozenset[tuple[int, int]]
) -> Iterator[os.DirEntry[str]]:
    status = os.stat(folder)  # noqa: PTH116 - five times as fast as Path
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise OSError(errno.ELOOP, "this link leads to a folder above it", folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_passed_over(entry.name):
                continue
            if is_folder(entry):
                yield from _walk(entry.path, left_out, above | {here})
            elif is_image(entry.name):
                yield entry
            else:
                left_out[_suffix(entry.name)] += 1


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - five times as fast as Path


def broken_link(path: Path | str) -> str:
    """Return the target of a link if it does not exist, in words; an empty text for anything else."""
    if not os.path.islink(path) or os.path.exists(path):  # noqa: PTH110, PTH114 - takes both types
        return ""
    try:
        os.stat(path)  # noqa: PTH116
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a link that leads back to itself"
    target = os.readlink(path)  # noqa: PTH115
    if os.path.lexists(os.path.join(os.path.dirname(path), target)):  # noqa: PTH118, PTH120 - another link
        target = os.path.realpath(path)
    return f"is a link to {path_text(target)}, which does not exist"


_UNPACK = (
    ((".zip",), "unzip {} -d {}"),
    ((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"), "mkdir {1} && tar -xf {0} -C {1}"),
    ((".7z", ".rar"), "7z x {} -o{}"),
)


def unpack(path: Path) -> str:
    """Return what to do with an archive of images; empty for anything else."""
    for suffixes, command in _UNPACK:
        for suffix in suffixes:
            if path.name.lower().endswith(suffix):
                folder = path.with_name(path.name[: -len(suffix)] or "images")
                shown = command.format(shlex.quote(path_text(path)), shlex.quote(path_text(folder)))
                return f"unpack it ({shown}), and name the folder"
    return ""


def left_out_sentence(left_out: Counter[str]) -> Iterator[str]:
    """Yield how many files are not images, the most frequent extensions first, if there are any."""
    if not left_out:
        return
    total = left_out.total()
    listed = ", ".join(
        f"{count:,} {path_text(suffix) or 'without extension'}" for suffix, count in _most(left_out)
    )
    files = counted(total, "file is", "files are")
    advice = [what for suffixes, what in _ADVICE if suffixes & {*left_out}]
    yield "; ".join([f"{files} left out: not an image format that Pillow reads here ({listed})", *advice])


_ADVICE = (
    (frozenset({".heic", ".heif", ".hif"}), "save the HEIC photos as JPEG to use them"),
    (
        frozenset({".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"}),
        "save the raw photos as JPEG to use them",
    ),
    (frozenset({".svg", ".eps", ".pdf"}), "save the drawings as PNG to use them"),
    (frozenset({".dcm", ".nii", ".mha"}), "save the scans as PNG of 8 or 16 bits to use them"),
    (frozenset({".npy", ".mat", ".h5", ".hdf5"}), "dataset: arrays reads .npz files"),
    (frozenset({".zip", ".tar", ".tgz", ".gz", ".7z", ".rar"}), "unpack the archives to use what is in them"),
)
"""What to do with files of these extensions."""


def _most(left_out: Counter[str]) -> list[tuple[str, int]]:
    return sorted(left_out.items(), key=lambda each: (-each[1], each[0]))


def image_paths(given: Sequence[str]) -> FoundImages:
    """Return image files, all images below folders, and the matches of patterns (``*.png``), each once.

    A file given by name may have any extension. Raises ``DataError`` if a file or folder does not exist or
    cannot be read.
    """
    left_out: Counter[str] = Counter()
    found: dict[Path, None] = {}
    for each in given:
        found.update(dict.fromkeys(_paths(each, left_out)))
    return FoundImages(list(found), left_out)


def _paths(given: str, left_out: Counter[str]) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        return _images_below(path, left_out)
    if path.exists():
        return [path]
    if link := broken_link(path):
        raise DataError(f"{given} {link}")
    if not glob.has_magic(given):
        raise DataError(f"there is no file or folder {given}")
    matches = [Path(match) for match in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 - absolute ones too
    if not matches:
        raise DataError(f"nothing matches {given}")
    return [
        image
        for match in matches
        for image in (_images_below(match, left_out) if match.is_dir() else [match])
    ]


def _images_below(folder: Path, left_out: Counter[str]) -> list[Path]:
    try:
        images = sorted(Path(entry.path) for entry in walk_images(folder, left_out))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or folder}: {error.strerror}") from error
    if not images:
        raise DataError(f"no images below {folder} ({', '.join(sorted(extensions()))})")
    return images
