"""Find, open and decode image files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hpo.data.cache import SIDE, Bytes
from hpo.errors import DataError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"})


class DecodedImage(NamedTuple):
    """Pixels (3, 32, 32) uint8, and the original size: width and height, upright."""

    pixels: Bytes
    size: tuple[int, int]


def decode_image(path: Path) -> DecodedImage:
    """Decode an image: upright, RGB, resized to 32 x 32 without cropping. Raises what Pillow raises."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16-bit gray, which convert() would clip instead of scaling
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        rgb = upright.convert("RGB")
        size = rgb.size
        if size != (SIDE, SIDE):
            rgb = rgb.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return DecodedImage(np.asarray(rgb).transpose(2, 0, 1), size)


def decode_or_reason(path: Path) -> DecodedImage | str:
    """Return the decoded image, or why it is unreadable (Pillow raises all of these for damaged files)."""
    try:
        if not path.stat().st_size:
            return "the file is empty"
        return decode_image(path)
    except UnidentifiedImageError:
        return "not an image, or an unknown format"
    except OSError as error:
        return error.strerror or str(error)
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error)


def image_paths(given: Sequence[str]) -> list[Path]:
    """Return image files, all images below folders, and the matches of patterns (``*.png``), each once.

    A file given by name may have any extension. Raises ``DataError`` if a file or folder does not exist.
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
