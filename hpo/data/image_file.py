"""One image file, decoded to 32 x 32 RGB, as data sets and predictions take it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hpo.data.cache import SIDE, Bytes

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"})


class Picture(NamedTuple):
    """Pixels (3, 32, 32) uint8, and the size that the image had: width and height, upright."""

    pixels: Bytes
    size: tuple[int, int]


def decode_image(path: Path) -> Picture:
    """Decode an image: upright, RGB, squeezed to 32 x 32 without cropping. Raises what Pillow raises."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits of grey, which convert() would clip instead of scaling
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        rgb = upright.convert("RGB")
        size = rgb.size
        if size != (SIDE, SIDE):
            rgb = rgb.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return Picture(np.asarray(rgb).transpose(2, 0, 1), size)


def decode_or_reason(path: Path) -> Picture | str:
    """The decoded image, or why there is none (Pillow raises all of these for damaged files)."""
    try:
        if not path.stat().st_size:
            return "the file is empty"
        return decode_image(path)
    except UnidentifiedImageError:
        return "not an image, or one of an unknown format"
    except OSError as error:
        return error.strerror or str(error)
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error)
