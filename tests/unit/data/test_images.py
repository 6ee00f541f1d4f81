"""Image files of every kind, and damaged ones: what is used, with which pixels, and what is named."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from hpo.config.image_format import STANDARD
from hpo.data.images import (
    DecodedImage,
    Remark,
    decode_image,
    decode_images,
    decode_or_reason,
    has_color,
    measure,
)
from tests.helpers.odd_images import tiff

RAMP = np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))
"""Gray levels from 0 on the left to 248 on the right."""


def used(path: Path) -> DecodedImage:
    found = decode_or_reason(path, STANDARD)
    assert isinstance(found, DecodedImage), found
    return found


def refused(path: Path) -> str:
    found = decode_or_reason(path, STANDARD)
    assert isinstance(found, str)
    return found


def save(path: Path, values: npt.NDArray[Any], **options: Any) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def test_images_become_32_by_32_rgb(tmp_path: Path) -> None:
    """Gray, palette, alpha, 16 bits, large and oblong images of one color keep that color."""
    grey = (100, 100, 100)
    images = {
        "grey.png": Image.new("L", (50, 40), 100),
        "palette.gif": Image.new("RGB", (40, 60), grey).convert("P", palette=Image.Palette.ADAPTIVE),
        "alpha.png": Image.new("RGBA", (32, 32), (*grey, 255)),
        "large.jpg": Image.new("RGB", (900, 300), grey),
        "deep.png": Image.fromarray(np.full((32, 32), 100 * 256 + 7, np.uint16)),
        "tiny.bmp": Image.new("RGB", (3, 3), grey),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
        decoded, size, _ = decode_image(tmp_path / name, STANDARD)
        assert size == image.size
        assert decoded.shape == (3, 32, 32) and decoded.dtype == np.uint8
        assert np.abs(decoded.astype(int) - 100).max() <= 2, name


def test_oblong_images_are_squeezed_not_cropped(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 32), "white")
    image.paste("black", (0, 0, 32, 32))
    image.save(tmp_path / "half.png")
    decoded = decode_image(tmp_path / "half.png", STANDARD).pixels
    assert (decoded[:, :, :14] < 20).all() and (decoded[:, :, 18:] > 235).all()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize(("orientation", "first_row"), [(3, 1), (6, 0.5), (1, 0)])
def test_cameras_orientation_is_followed(
    suffix: str, orientation: int, first_row: float, tmp_path: Path
) -> None:
    """The upper half is black as it is stored."""
    image = Image.new("RGB", (32, 32), "white")
    image.paste("black", (0, 0, 32, 16))
    exif = image.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    image.save(path, exif=exif, lossless=True)
    assert used(path).pixels[:, 0].mean() / 255 == first_row


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("floats.tif", RAMP.astype(np.float32) / 255),
        ("int32.tif", RAMP.astype(np.int32)),
        ("uint16.tif", RAMP.astype(np.uint16) * 257),
        ("uint16.png", RAMP.astype(np.uint16) * 257),
        ("uint16.jp2", RAMP.astype(np.uint16) * 257),
    ],
)
def test_deep_images_of_a_known_range_are_scaled(name: str, values: npt.NDArray[Any], tmp_path: Path) -> None:
    assert np.array_equal(used(save(tmp_path / name, values)).pixels, np.stack([RAMP] * 3))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (RAMP.astype(np.float32), "values run from 0 to 248, .* must have values from 0 to 1"),
        (RAMP.astype(np.float32) - 1, "values run from -1 to 247"),
        (np.where(RAMP > 99, np.nan, 0).astype(np.float32), "infinite or not a number"),
        (RAMP.astype(np.int32) * 257, "values run from 0 to 63736, .* must have values from 0 to 255"),
        (RAMP.astype(np.uint16) * 16, "no value above 3,968, .* multiply its values by 16"),
        (RAMP.astype(np.uint16), "no value above 248"),
    ],
)
def test_images_of_an_unknown_range_are_refused(
    values: npt.NDArray[Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=reason):
        used(save(tmp_path / "image.tif", values))


def test_a_declared_range_of_12_bits_is_altered(tmp_path: Path) -> None:
    path = tmp_path / "image.pgm"
    path.write_bytes(b"P5 32 32 4095\n" + (RAMP.astype(np.uint16) * 16).astype(">u2").tobytes())
    assert np.abs(used(path).pixels.astype(int) - RAMP).max() <= 1


def test_gray_values_whose_zero_is_white_are_inverted(tmp_path: Path) -> None:
    """Pillow inverts them for 8 bits, not for 16."""
    path = tmp_path / "negative.tif"
    for values, bits in ((255 - RAMP, 8), (65535 - RAMP.astype("<u2") * 257, 16)):
        path.write_bytes(tiff(bits, 1, 0, values))
        assert np.array_equal(used(path).pixels[0], RAMP)


def test_signed_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "signed.tif"
    path.write_bytes(tiff(8, 2, 1, RAMP))
    assert "signed" in refused(path)


def test_colors_of_16_bits_are_scaled_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "color.tif"
    colors = np.stack([RAMP] * 3, -1).astype("<u2")
    path.write_bytes(tiff(16, 1, 2, colors * 257))
    assert np.array_equal(used(path).pixels[2], RAMP)
    path.write_bytes(tiff(16, 1, 2, colors * 16))  # 12 bits
    assert "no value above 4,095" in refused(path)


def test_14_bits_in_16_are_used_and_told(tmp_path: Path) -> None:
    image = used(save(tmp_path / "dark.png", RAMP.astype(np.uint16) * 64))
    assert image.remarks == (Remark("dark", "no value above 15,872 of 65,535"),)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif", ".ico", ".tga", ".jp2"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_black_drawing_on_transparency_is_drawn_on_white(suffix: str, mode: str, tmp_path: Path) -> None:
    drawing = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (0, 0, 16, 32))
    path = tmp_path / f"drawing{suffix}"
    drawing.convert("RGBA" if suffix in (".webp", ".gif", ".ico") else mode).save(path, lossless=True)
    pixels = used(path).pixels
    assert (pixels[..., :16] == 0).all() and (pixels[..., 16:] == 255).all()


@pytest.mark.parametrize(
    ("mode", "transparency"), [("P", 7), ("P", bytes([255] * 7 + [0])), ("L", 7), ("RGB", (7, 7, 7))]
)
def test_a_transparent_color_is_white(mode: str, transparency: Any, tmp_path: Path) -> None:
    drawing = Image.new(mode, (32, 32))
    if mode == "P":
        drawing.putpalette([0] * 768)
    drawing.paste((7, 7, 7) if mode == "RGB" else 7, (16, 0, 32, 32))
    drawing.save(tmp_path / "drawing.png", transparency=transparency)
    pixels = used(tmp_path / "drawing.png").pixels
    assert (pixels[..., :16] == 0).all() and (pixels[..., 16:] == 255).all()


def on_transparency(mode: str, color: Any) -> Image.Image:
    """Draw a disk of one color on transparency; other colors may lie below transparent pixels."""
    disk = Image.new("L", (32, 32))
    ImageDraw.Draw(disk).ellipse((4, 4, 27, 27), fill=255)
    image = Image.new(mode.removesuffix("A"), (32, 32), color)
    image.paste(0 if mode == "LA" else (9, 99, 9), (0, 0, 4, 4))
    image.putalpha(disk)
    return image


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize(
    ("mode", "color"), [("RGBA", (255, 255, 255)), ("LA", 230), ("RGBA", (196, 200, 204))]
)
def test_a_light_drawing_on_transparency_becomes_black(
    suffix: str, mode: str, color: Any, tmp_path: Path
) -> None:
    """On white it could not be seen."""
    path = tmp_path / f"image{suffix}"
    on_transparency(mode, color).save(path, lossless=True)
    found = used(path)
    disk = np.asarray(on_transparency("LA", 0))[..., 1]
    assert np.array_equal(found.pixels, np.stack([255 - disk] * 3))
    assert found.remarks == (Remark("alpha"),)


@pytest.mark.parametrize("color", [(255, 255, 0), (250, 150, 250), (120, 120, 120)])
def test_a_drawing_of_a_visible_color_keeps_it(color: Any, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    on_transparency("RGBA", color).save(path)
    found = used(path)
    assert found.pixels[:, 16, 16].tolist() == list(color) and found.pixels[:, 0, 0].tolist() == [255] * 3
    assert found.remarks == ()


def test_a_light_picture_with_shades_is_laid_over_white(tmp_path: Path) -> None:
    image = on_transparency("RGBA", (255, 255, 255))
    image.paste((200, 200, 200, 255), (12, 12, 20, 20))
    image.save(tmp_path / "image.png")
    assert used(tmp_path / "image.png").pixels[0, 16, 14:].tolist()[:6] == [200] * 6


def test_white_on_transparent_black_of_16_bits_becomes_black(tmp_path: Path) -> None:
    """The transparent color of a gray PNG is one of its values."""
    path = tmp_path / "image.png"
    save(path, np.where(RAMP > 100, 65535, 0).astype(np.uint16), transparency=0)
    assert np.array_equal(used(path).pixels[0], np.where(RAMP > 100, 0, 255))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_further_frames_are_counted(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), color) for color in ("black", "white", "red")]
    path = tmp_path / f"film{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    image = used(path)
    assert image.remarks == (Remark("frames", "3 frames"), Remark("constant"))
    assert not image.pixels.any()


def jpeg_with_exif(tags: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "JPEG")
    plain = buffer.getvalue()
    rest = 4 + int.from_bytes(plain[4:6], "big")  # behind JFIF's segment, which would give the resolution
    block = b"Exif\0\0" + tags
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[rest:]


def exif(*entries: tuple[int, int, bytes]) -> bytes:
    """Return EXIF data with tags of one value: (tag, type, its four bytes)."""
    tags = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags + bytes(4)


ON_ITS_SIDE = (0x0112, 3, b"\6\0\0\0")


@pytest.mark.parametrize("tag", [0x0128, 0x011A, 0x010F])
@pytest.mark.parametrize("kind", range(1, 13))
def test_exif_data_of_a_wrong_type_do_not_matter(tag: int, kind: int, tmp_path: Path) -> None:
    """They make Pillow raise ``struct.error``, ``TypeError`` or ``AttributeError`` when it turns an image."""
    path = tmp_path / "image.jpg"
    path.write_bytes(jpeg_with_exif(exif(ON_ITS_SIDE, (tag, kind, b"\2\0\0\0"))))
    pixels = used(path).pixels[0].astype(int)
    assert (np.diff(pixels[:, 16]) >= 0).all() and pixels[31, 16] - pixels[0, 16] > 200


def damaged(random: np.random.Generator, content: bytes, start: int = 0, end: int | None = None) -> bytes:
    """Return the bytes with some of them changed, or cut off, or replaced by others."""
    end = len(content) if end is None else end
    changed = bytearray(content)
    places = random.integers(start, end, random.integers(1, 6))
    if end < len(content) or random.random() < 0.5:
        for place in places:
            changed[place] = random.integers(256)
    elif random.random() < 0.5:
        del changed[places[0] :]
    else:
        changed[places[0] : places[0] + 20] = random.bytes(int(random.integers(40)))
    return bytes(changed)


def test_500_damages_of_exif_data_leave_the_image_usable(tmp_path: Path) -> None:
    tags = exif(ON_ITS_SIDE, (0x010F, 2, b"abc\0"), (0x0128, 3, b"\2\0\0\0"), (0x8769, 4, b"\x1a\0\0\0"))
    whole = jpeg_with_exif(tags)
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.jpg" for number in range(500)]
    for path in paths:
        path.write_bytes(damaged(random, whole, 12, 12 + len(tags)))
    with ThreadPoolExecutor(1) as pool:
        found = decode_images(paths, pool, STANDARD)
    assert [each for each in found if isinstance(each, str)] == []


def test_500_damages_of_files_are_used_or_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8))
    wholes = []
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "TGA", "PCX", "ICO", "DDS"):
        buffer = io.BytesIO()
        image.save(buffer, kind)
        wholes.append(buffer.getvalue())
    paths = [tmp_path / str(number) for number in range(500)]
    for number, path in enumerate(paths):
        path.write_bytes(damaged(random, wholes[number % len(wholes)]))
    with ThreadPoolExecutor(1) as pool:
        found = decode_images(paths, pool, STANDARD)
    assert all(each if isinstance(each, str) else each.pixels.shape == (3, 32, 32) for each in found)
    assert {type(each) for each in found} == {str, DecodedImage}


def test_warnings_of_pillow_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``DecompressionBombWarning`` for an image that is used; the tests turn warnings into errors."""
    path = save(tmp_path / "large.png", RAMP)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with ThreadPoolExecutor(1) as pool:
        assert isinstance(decode_images([path], pool, STANDARD)[0], DecodedImage)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert refused(path) == "more than 0 megapixels: make it smaller"


def test_other_programs_are_not_started(tmp_path: Path) -> None:
    """Pillow would give EPS to Ghostscript, whatever the name of the file."""
    (tmp_path / "image.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    assert refused(tmp_path / "image.png") == "not an image, or an unknown format"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "a HEIC image, whatever its name says: save it as JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video: save its frames as images"),
        (
            b"\n<!DOCTYPE html><html><body>404",
            "a web page, such as a server's error message: download it again",
        ),
        (b'<?xml version="1.0"?>\n<svg xmlns=""/>', "an SVG drawing: save it as PNG"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "a pointer of Git LFS, not the image: ",
        ),
        (b"%PDF-1.7", "a PDF document: save its pages as images"),
        (b"PK\x03\x04", "an archive: unpack it"),
        (b"\x93NUMPY\x01", "a NumPy array: use dataset: arrays, or save it as an image"),
        (bytes(3000), "only zero bytes, as an interrupted copy or download leaves: copy it again"),
        (b"a text", "not an image, or an unknown format"),
    ],
)
def test_what_bears_the_name_of_an_image_is_told(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    assert refused(path).startswith(what)


@pytest.mark.parametrize("look", [measure, has_color, lambda path: decode_or_reason(path, STANDARD)])
def test_a_pipe_with_the_name_of_an_image_does_not_block(
    look: Callable[[Path], object], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "image.png")
    assert look(tmp_path / "image.png") in (None, False, "not a regular file")


def test_color_is_found_in_a_single_pixel(tmp_path: Path) -> None:
    for color, colored in (((100, 100, 108), False), ((100, 109, 100), True), ((91, 100, 96), True)):
        image = Image.new("RGB", (40, 30), (100, 100, 100))
        image.putpixel((7, 9), color)
        image.save(tmp_path / "image.png")
        assert has_color(tmp_path / "image.png") == colored


def test_transparency_is_laid_over_white_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    path = save(tmp_path / "image.png", values)
    whole = used(path).pixels
    monkeypatch.setattr("hpo.data.levels._AT_ONCE", 5 * 32)
    assert np.array_equal(used(path).pixels, whole)
    share = values[..., 3:] / 255
    assert np.abs(whole.transpose(1, 2, 0) - values[..., :3] * share - 255 * (1 - share)).max() <= 1
