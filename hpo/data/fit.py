"""Make pictures fit the format of a study: squeezed, cut or with borders; in color or gray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from PIL import Image

from hpo.config.image_format import ImageFormat
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Source, source_signature
from hpo.limits import available_cores

Box = tuple[float, float, float, float]

BORDER = 128
"""The middle gray: after centering it is near zero, as what a network pads with."""
_GAP = 3.0
"""Shrink by whole factors to three times the size first: quicker, and as good to the eye."""


def fit(image: Image.Image, form: ImageFormat) -> Image.Image:
    """Return an RGB or gray picture in a format, without borders yet (see ``with_borders``)."""
    mode = "L" if form.channels == 1 else "RGB"  # gray in RGB becomes the same gray
    if image.mode != mode:  # a conversion to the same mode is a copy
        image = image.convert(mode)
    target = form.width, form.height
    box = None
    if form.resize == "crop":
        box = _middle(image.size, target)
    elif form.resize == "pad":
        target = _inside(image.size, target)
    if image.size == target:
        return image
    return image.resize(target, Image.Resampling.LANCZOS, box, _GAP)


def with_borders(pixels: Bytes, form: ImageFormat) -> Bytes:
    """Return pixels (C, height, width) with gray borders where the picture does not fill the format."""
    if pixels.shape == form.shape:
        return pixels
    framed = np.full(form.shape, BORDER, np.uint8)
    _, height, width = pixels.shape
    top, left = (form.height - height) // 2, (form.width - width) // 2
    framed[:, top : top + height, left : left + width] = pixels
    return framed


def as_pixels(image: Image.Image) -> Bytes:
    """Return an RGB or gray picture as an array (C, H, W)."""
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _middle(size: tuple[int, int], target: tuple[int, int]) -> Box:
    """Return the largest box of the target's shape in the middle of a picture of ``size``."""
    scale = min(size[0] / target[0], size[1] / target[1])
    width, height = scale * target[0], scale * target[1]
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, min(left + width, size[0]), min(top + height, size[1])


def _inside(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size with the picture's shape that fits into the target."""
    scale = min(target[0] / size[0], target[1] / size[1])
    width, height = (max(1, min(end, round(scale * side))) for side, end in zip(size, target, strict=True))
    return width, height


def in_format(source: Source, form: ImageFormat) -> Source:
    """Return a source whose images, already decoded in ``source.format``, are made to fit another one."""
    if source.format.shape == form.shape:
        return replace(source, format=form)
    return replace(
        source,
        format=form,
        signature=source_signature([source.signature, form.signature]),
        decode=lambda: _fitted(source.decode(), form),
    )


def _fitted(decoded: Decoded, form: ImageFormat) -> Decoded:
    train, test = (
        DecodedSplit(part.labels, _fitted_chunks(part.chunks, form)) for part in (decoded.train, decoded.test)
    )
    return Decoded(train, test, decoded.warnings)


def _fitted_chunks(chunks: Iterable[Bytes], form: ImageFormat) -> Iterator[Bytes]:
    with ThreadPoolExecutor(available_cores()) as pool:
        for chunk in chunks:
            for start in range(0, len(chunk), _AT_ONCE):
                part = chunk[start : start + _AT_ONCE]
                yield np.stack(list(pool.map(lambda pixels: _fitted_pixels(pixels, form), part)))


_AT_ONCE = 512


def _fitted_pixels(pixels: Bytes, form: ImageFormat) -> Bytes:
    values = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(values))
    return with_borders(as_pixels(fit(picture, form)), form)
