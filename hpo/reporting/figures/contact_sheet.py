"""A contact sheet: some images of each class, as a network sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hpo.files import replacing_bytes

_SHOWN = 30
"""Classes at most."""
_TILE = 72
_GAP = 4
_LABEL = 150
_INK, _PAPER = (40, 48, 56), (255, 255, 255)


def write_contact_sheet(
    samples: Mapping[str, Sequence[npt.NDArray[np.uint8]]], counts: Mapping[str, int], path: Path
) -> int:
    """Write a PNG with a row of images (C, H, W) for each class; return how many classes are left out.

    Raises ``UserError`` if the file cannot be written.
    """
    names = [name for name, images in samples.items() if len(images)]
    shown = names[:_SHOWN]
    across = max((len(samples[name]) for name in shown), default=0)
    width = _LABEL + across * (_TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, len(shown) * (_TILE + _GAP) + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, name in enumerate(shown):
        top = _GAP + row * (_TILE + _GAP)
        label = f"{_shortened(name, draw, font)}\n{counts.get(name, 0):,}"
        draw.multiline_text((2 * _GAP, top + _TILE // 2), label, _INK, font, anchor="lm", spacing=4)
        for column, pixels in enumerate(samples[name]):
            tile = _tile(pixels)
            left = _LABEL + column * (_TILE + _GAP)
            sheet.paste(tile, (left + (_TILE - tile.width) // 2, top + (_TILE - tile.height) // 2))
    with replacing_bytes(path) as handle:
        sheet.save(handle, "PNG")
    return len(names) - len(shown)


def _tile(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    values = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(values)).convert("RGB")
    scale = _TILE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _shortened(
    name: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    shown = "".join(each if each.isprintable() else "?" for each in name)
    if draw.textlength(shown, font) <= _LABEL - 4 * _GAP:
        return shown
    while shown and draw.textlength(f"{shown}…", font) > _LABEL - 4 * _GAP:
        shown = shown[:-1]
    return f"{shown}…"
