"""From what a person typed to image files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from hpo.data.image_file import EXTENSIONS
from hpo.errors import DataError


def image_paths(given: Sequence[str]) -> list[Path]:
    """Image files, the images anywhere below folders, and what patterns (``*.png``) match; each once.

    A file that is named is taken whatever it is called. Raises ``DataError`` for what is not there.
    """
    found: dict[Path, None] = {}
    for each in given:
        found.update(dict.fromkeys(_paths(each)))
    return list(found)


def _paths(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        return _images_below(path)
    if path.exists():
        return [path]
    if not glob.has_magic(given):
        raise DataError(f"there is no file or folder {given}")
    matches = [Path(match) for match in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 - absolute ones too
    if not matches:
        raise DataError(f"nothing matches {given}")
    return [image for match in matches for image in (_images_below(match) if match.is_dir() else [match])]


def _images_below(folder: Path) -> list[Path]:
    images = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )
    if not images:
        raise DataError(f"no images below {folder} ({', '.join(sorted(EXTENSIONS))})")
    return images
