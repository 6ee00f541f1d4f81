"""From the modes and bit depths of image files to RGB with 8 bits per channel, without losing the picture.

Where it is known which values are black and white, they are scaled; where it is not, the image is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

Values = npt.NDArray[Any]

_BYTE = 255
_TWELVE_BITS = 1 << 12
_FOURTEEN_BITS = 1 << 14
_TAG_BITS, _TAG_PHOTOMETRIC, _TAG_SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_SCALED_BY_PILLOW = frozenset({"JPEG2000", "PPM"})
"""Formats that declare their largest value, by which Pillow scales to 16 bits."""
_SIXTEEN_BITS = frozenset({"PNG", *_SCALED_BY_PILLOW})
"""Formats in which Pillow's mode I has values of 0 to 65,535."""


class UnknownRangeError(Exception):
    """Which values of an image are black and white is not known, or its colors are not supported."""


@dataclass(frozen=True)
class Stored:
    """How a file stores its pixels, as far as the mode of the open image does not tell."""

    format: str
    bits: int = 0
    """Bits per value if the file declares 12; otherwise 0."""
    deep: bool = False
    """16 bits per channel of several channels, of which Pillow keeps the upper 8."""
    white_is_zero: bool = False
    """Gray values that Pillow does not invert although the file says that 0 is white."""
    signed: bool = False


def stored(image: Image.Image) -> Stored:
    """Return how the file of an image stores its pixels; call it before the pixels are loaded."""
    tags = getattr(image, "tag_v2", None) or {}
    deep = any(
        ";16" in str(_rawmode(tile)) or "SGI16" in str(tile[0]) for tile in getattr(image, "tile", None) or ()
    )
    wide = image.mode == "F" or image.mode.startswith("I")
    return Stored(
        format=image.format or "",
        bits=12 if tuple(tags.get(_TAG_BITS, ())) == (12,) else 0,
        deep=deep and not wide and image.format not in _SCALED_BY_PILLOW,
        white_is_zero=wide and tags.get(_TAG_PHOTOMETRIC) == _WHITE_IS_ZERO,
        signed=_SIGNED in tuple(tags.get(_TAG_SAMPLE_FORMAT, ())) or (wide and image.format == "FITS"),
    )


def _rawmode(tile: Any) -> Any:
    arguments = tile[3]
    return arguments[0] if isinstance(arguments, tuple) and arguments else arguments


class Converted(NamedTuple):
    """An RGB image, a remark on its range (mostly empty), and whether it shows its transparency alone."""

    image: Image.Image
    dark: str = ""
    from_alpha: bool = False


def to_rgb(image: Image.Image, how: Stored) -> Converted:
    """Return a loaded image as RGB, transparent pixels on white.

    A drawing of a single light color, which would be lost on white, becomes black.
    Raises ``UnknownRangeError`` with the reason.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels, remark = _gray(np.asarray(image), image.mode, how)
        found = Image.fromarray(levels)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            found.putalpha(Image.fromarray((np.asarray(image) != transparent).astype(np.uint8) * _BYTE))
        return _on_white(found)._replace(dark=remark)
    if how.signed:
        raise UnknownRangeError("its values are signed: save it with values from 0 to 255")
    if how.deep:
        _refuse_few_bits(image)
        transparent = image.info.get("transparency")
        if isinstance(transparent, tuple):  # a color of 16 bits
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
    return _on_white(image)


def _gray(values: Values, mode: str, how: Stored) -> tuple[npt.NDArray[np.uint8], str]:
    """Return gray levels from 0 to 255, and a remark."""
    remark = ""
    if mode == "F":
        levels = _from_floats(values)
    elif how.bits == 12:
        levels = values >> 4
    elif mode.startswith("I;16") or how.format in _SIXTEEN_BITS:
        if how.signed:
            raise _unknown(values, "signed images", "0 to 255, with 8 bits")
        remark = "" if how.format in _SCALED_BY_PILLOW else _range_of_16_bits(int(values.max()))
        levels = values >> 8
    else:
        if values.min() < 0 or values.max() > _BYTE:
            raise _unknown(values, "images of this type", "0 to 255")
        levels = values
    levels = levels.astype(np.uint8)
    return (_BYTE - levels if how.white_is_zero else levels), remark


def _from_floats(values: Values) -> Values:
    if not np.isfinite(values).all():
        raise UnknownRangeError("it has values that are infinite or not a number")
    if values.min() < 0 or values.max() > 1:
        raise _unknown(values, "floating-point images", "0 to 1")
    levels: Values = np.rint(values * _BYTE)
    return levels


def _unknown(values: Values, kind: str, expected: str) -> UnknownRangeError:
    return UnknownRangeError(
        f"its values run from {values.min():g} to {values.max():g}, and which of them are black and white is "
        f"unknown: {kind} must have values from {expected}"
    )


def _range_of_16_bits(most: int) -> str:
    if 0 < most < _TWELVE_BITS:
        raise _few_bits(most)
    return f"no value above {most:,} of 65,535" if 0 < most < _FOURTEEN_BITS else ""


def _refuse_few_bits(image: Image.Image) -> None:
    """Refuse an image whose upper 8 of 16 bits are nearly empty.

    A black drawing on transparency is none: only its transparency varies.
    """
    levels = np.asarray(image)
    has_alpha = image.mode in ("LA", "RGBA")
    color = int(levels[..., :-1].max() if has_alpha else levels.max())
    alpha = int(levels[..., -1].max()) if has_alpha else 0
    few = _TWELVE_BITS >> 8
    if color < few and (color > 0 or alpha < few):
        raise _few_bits((color << 8) + _BYTE)


def _few_bits(most: int) -> UnknownRangeError:
    return UnknownRangeError(
        f"it has 16 bits per value, but no value above {most:,}, so it would be almost black: "
        "if it has 12 bits, multiply its values by 16, or save it with 8 bits"
    )


def _on_white(image: Image.Image) -> Converted:
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode[:-1] + "A")
    if image.mode == "RGB" and "transparency" not in image.info:
        return Converted(image)
    try:
        if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
            return Converted(image.convert("RGB"))
        drawn = image if image.mode == "RGBA" else image.convert("RGBA")
    except ValueError as error:  # such as CIE LAB
        raise UnknownRangeError(f"its color mode {image.mode} is not supported: save it as RGB") from error
    alpha = drawn.getchannel("A")
    if _is_lost_on_white(drawn, alpha):
        return Converted(ImageChops.invert(alpha).convert("RGB"), from_alpha=True)
    return Converted(_over_white(drawn))


_AT_ONCE = 4_000_000
"""Pixels of a strip: a huge scan needs no third copy."""


def _over_white(drawn: Image.Image) -> Image.Image:
    page = Image.new("RGB", drawn.size)
    for top, part in strips(drawn):
        strip = Image.new("RGBA", part.size, "white")
        strip.alpha_composite(part)
        page.paste(strip.convert("RGB"), (0, top))
    return page


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the strips of an image from top to bottom, each with its first row."""
    rows = max(1, _AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


_SHADES = 8
"""Of 255: colors of a drawing that differ by no more are one color, after compression."""
_LIGHT = 192
"""A drawing of one color is hard to see on white if all its channels are at least this."""


def _is_lost_on_white(drawn: Image.Image, alpha: Image.Image) -> bool:
    """Return whether all that can be seen has one light color, so that only transparency is a picture."""
    least, most = alpha.getextrema()
    if least == most:
        return False
    visible = alpha.point([0] + [_BYTE] * _BYTE)
    counts = np.reshape(drawn.histogram(visible), (4, _BYTE + 1))
    return all(_is_light(each) for each in counts[:3])


def _is_light(counts: Values) -> bool:
    levels = np.flatnonzero(counts)
    return bool(levels[0] >= _LIGHT and levels[-1] - levels[0] <= _SHADES)


def lost_on_white(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return for images (N, 4, H, W) whether only the last channel, the opacity, is a picture (N,)."""
    colors, alpha = values[:, :3].reshape(len(values), 3, -1), values[:, 3].reshape(len(values), 1, -1)
    least = np.where(alpha, colors, _BYTE).min(2)
    most = np.where(alpha, colors, 0).max(2).astype(np.int16)
    varies = alpha.min((1, 2)) < alpha.max((1, 2))
    lost: npt.NDArray[np.bool_] = varies & ((least >= _LIGHT) & (most - least <= _SHADES)).all(1)
    return lost
