"""Decode image files: upright, in the format of a study."""

from __future__ import annotations

import logging
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from hpo.config.image_format import STANDARD, ImageFormat
from hpo.data.cache import Bytes
from hpo.data.fit import as_pixels, fit, with_borders
from hpo.data.levels import UnknownRangeError, stored, strips, to_rgb
from hpo.data.walk import broken_link, formats
from hpo.files import regular_file
from hpo.text import counted

logging.getLogger("PIL").addHandler(logging.NullHandler())  # its errors come back as a reason, with the file

RemarkKind: TypeAlias = Literal["frames", "exif", "dark", "alpha", "constant"]
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ONE_PICTURE = frozenset({"MPO", "PSD"})
"""Formats whose further frames are previews or layers of the first."""


class Remark(NamedTuple):
    """Something that the user should know of an image that is used."""

    kind: RemarkKind
    detail: str = ""


class DecodedImage(NamedTuple):
    """Pixels (C, H, W) uint8, the original size (width and height, upright), and remarks."""

    pixels: Bytes
    size: tuple[int, int]
    remarks: tuple[Remark, ...] = ()


def open_image(path: Path) -> Image.Image:
    """Open an image file. Raises what Pillow raises, and ``DataError`` for a pipe, which would block."""
    regular_file(path)
    return Image.open(path, formats=formats())


class ImageHeader(NamedTuple):
    """The size of an image (width and height, upright), and whether its file can have color."""

    size: tuple[int, int]
    may_have_color: bool


_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})


def measure(path: Path) -> ImageHeader | None:
    """Read what the header of an image says; None for a file that cannot be read."""
    try:
        with open_image(path) as image:
            turn, _ = _orientation(image)
            width, height = image.size
            size = (height, width) if turn in _SIDEWAYS else (width, height)
            return ImageHeader(size, image.mode not in _GRAY_MODES and not image.mode.startswith("I;16"))
    except Exception:  # decoding names it, with the reason
        return None


_SIDEWAYS = frozenset(_UPRIGHT[turn] for turn in (5, 6, 7, 8))
_COLOR_SIDE = 256
_TINT = 8
"""Of 255: grays that were scanned or compressed differ less between their channels."""


def has_color(path: Path) -> bool:
    """Return whether a pixel of an image is not gray; False for a file that cannot be read."""
    try:
        with open_image(path) as image:
            how = stored(image)
            image.draft("RGB", (_COLOR_SIDE, _COLOR_SIDE))
            with _turn_of(image):
                image.load()
                return any(_is_tinted(part) for _, part in strips(to_rgb(image, how).image))
    except Exception:  # decoding names it, with the reason
        return False


def _is_tinted(rgb: Image.Image) -> bool:
    red, green, blue = rgb.split()
    pairs = ((red, green), (green, blue), (red, blue))
    return any(ImageChops.difference(*pair).getextrema()[1] > _TINT for pair in pairs)  # type: ignore[operator]


def is_colored(pixels: Bytes) -> bool:
    """Return whether a pixel of an RGB image (H, W, 3) is not gray."""
    return bool((pixels.max(2).astype(np.int16) - pixels.min(2)).max() > _TINT)


@contextmanager
def silent_pillow() -> Iterator[None]:
    """Hide Pillow's warnings: what matters is a reason or a remark. Use it around threads, not in them."""
    with warnings.catch_warnings():  # filters belong to the whole process
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decode_images(paths: Iterable[Path], pool: Executor, form: ImageFormat) -> list[DecodedImage | str]:
    """Decode images in parallel; one that cannot be used becomes the reason."""
    with silent_pillow():
        return list(pool.map(partial(decode_or_reason, form=form), paths))


def decode_or_reason(path: Path, form: ImageFormat) -> DecodedImage | str:
    """Return the decoded image, or why it cannot be used."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if not status.st_size:
            return "the file is empty"
        return decode_image(path, form)
    except UnidentifiedImageError:
        return _what_it_is(path)
    except OSError as error:
        return broken_link(path) or error.strerror or str(error)
    except UnknownRangeError as error:
        return str(error)
    except Image.DecompressionBombError:
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} megapixels: make it smaller"
    # Pillow's readers raise whatever a damaged file leads to: struct.error, TypeError, KeyError, ...
    except Exception as error:
        return f"damaged ({type(error).__name__}: {error})"


_SIGNS: tuple[tuple[bytes, str], ...] = (
    (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC image, whatever its name says: save it as JPEG"),
    (rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI ", "a video: save its frames as images"),
    (
        rb"\s*<(!doctype html|html|head)",
        "a web page, such as a server's error message: download it again",
    ),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*-->\s*)?(<!doctype svg[^>]*>\s*)?<svg", "an SVG drawing: save it as PNG"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the image: fetch it with git lfs pull"),
    (rb"%PDF-", "a PDF document: save its pages as images"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "an archive: unpack it"),
    (rb"\x93NUMPY", "a NumPy array: use dataset: arrays, or save it as an image"),
    (rb"\x89HDF", "an HDF5 file: save its images as files"),
    (rb"\0+$", "only zero bytes, as an interrupted copy or download leaves: copy it again"),
)
"""How files begin that bear the names of images."""


def _what_it_is(path: Path) -> str:
    """Return what a file is that Pillow does not know, and what to do."""
    with path.open("rb") as handle:
        start = handle.read(_START)
    for sign, kind in _SIGNS:
        if re.match(sign, start, re.DOTALL | re.IGNORECASE):
            return kind
    return "not an image, or an unknown format"


_START = 512


def decode_image(path: Path, form: ImageFormat) -> DecodedImage:
    """Decode an image: upright, in the format ``form``; transparent pixels are white.

    Raises ``UnknownRangeError``, and what Pillow raises.
    """
    image, size = _opened(path, form)
    with image, _turn_of(image):
        how = stored(image)
        image.load()
        rgb, dark, from_alpha = to_rgb(image, how)
        turn, exif = _orientation(image)
        if turn is not None:
            rgb = rgb.transpose(turn)
        if turn in _SIDEWAYS:
            size = size[1], size[0]
        pixels = as_pixels(fit(rgb, form))
        frames = _frames(image)  # last: it reads on in the file
    remarks = []
    if frames > 1:
        remarks.append(Remark("frames", counted(frames, "frame")))
    if exif:
        remarks.append(Remark("exif", exif))
    if dark:
        remarks.append(Remark("dark", dark))
    if from_alpha:
        remarks.append(Remark("alpha"))
    if (pixels == pixels[:, :1, :1]).all():
        remarks.append(Remark("constant"))
    return DecodedImage(with_borders(pixels, form), size, tuple(remarks))


def _turn_of(image: Image.Image) -> AbstractContextManager[object]:
    """Return what to hold while the pixels of an image are in memory."""
    return _alone if image.width * image.height > _LARGE else nullcontext()


_alone = Lock()
_LARGE = 25_000_000
"""Pixels: of larger images only one at a time is in memory, whatever the number of threads."""
_DRAFT = 3
"""A JPEG is read at an eighth, a quarter or half of its size if that is this many times the wanted one."""


def _opened(path: Path, form: ImageFormat) -> tuple[Image.Image, tuple[int, int]]:
    """Open an image, a JPEG at a reduced size where that is enough; return also its size (width, height).

    Standard images are reduced only if they could not be read otherwise: caches of earlier versions stay
    valid. Raises ``DecompressionBombError`` for what is too large even so.
    """
    try:
        image = open_image(path)
        bomb = None
    except Image.DecompressionBombError as error:
        try:
            image, bomb = JpegImageFile(path), error
        except Exception:
            raise error from None
        if image.info.get("progressive"):  # its coefficients would all be in memory
            image.close()
            raise
    size = image.size
    if bomb or form != STANDARD:
        wanted = _DRAFT * max(form.height, form.width)
        image.draft(None, (wanted, wanted))
    if bomb and image.width * image.height > 2 * (Image.MAX_IMAGE_PIXELS or 0):
        image.close()
        raise bomb
    return image, size


def _orientation(image: Image.Image) -> tuple[Image.Transpose | None, str]:
    """Return how to turn an image upright, and the kind of error if its EXIF data cannot be read.

    ``ImageOps.exif_transpose`` would also write the EXIF data again, which fails for wrong types of any tag.
    """
    if image.format == "TIFF":  # Pillow turns them itself when they are loaded
        return None, ""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1)), ""
    except Exception as error:  # EXIF data are a file of their own, read by Pillow's TIFF reader
        return None, type(error).__name__


def _frames(image: Image.Image) -> int:
    if image.format in _ONE_PICTURE:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # damage behind the first frame, which is all that is used
        return 1
