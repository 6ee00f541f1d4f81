"""Writes a folder of damaged and odd image files, each with what a viewer shows of it.

``python -m tests.helpers.odd_images FOLDER``. Every file is drawn here, and what it shows is computed from
the drawing with NumPy; no file is read.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Pixels = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 48, 64
CLASSES = ('it\'s <b>"odd"<i>, 1', "caf\u00e9 & $HOME; --")
"""Names of the two class folders, which files are put into in turn."""


@dataclass(frozen=True)
class Odd:
    """A file: its name, how it is written, and what a viewer shows (H, W, 3), or why it cannot be used."""

    name: str
    write: Callable[[Path], object]
    shows: Pixels | None = None
    reason: str = ""
    tolerance: float = 0.5
    """Mean difference of the pixels from ``shows``, of 255: more where a format loses detail."""


def drawing(seed: int = 0) -> Image.Image:
    """Draw a picture without symmetry, in color."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ground = np.stack([40 + 2 * x, 30 + 3 * y, 200 - x - y], 2).astype(np.uint8)
    image = Image.fromarray(ground)
    pen = ImageDraw.Draw(image)
    color, other = (tuple(each) for each in draws.integers(0, 256, (2, 3)).tolist())
    pen.rectangle((4, 6, 24, 18), fill=color)
    pen.ellipse((34, 20, 58, 44), fill=other)
    return image


DRAWN = drawing()
COLOR: Pixels = np.asarray(DRAWN)
GRAY: Pixels = np.asarray(DRAWN.convert("L"))
BLACK_WHITE: Pixels = np.where(GRAY > 110, np.uint8(255), np.uint8(0))


def in_color(levels: npt.NDArray[Any]) -> Pixels:
    """Return gray levels (H, W) as RGB (H, W, 3)."""
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, 2)


def plain(*color: int) -> Pixels:
    """Return an image of one color."""
    return np.full((HEIGHT, WIDTH, 3), color, np.uint8)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return an image as the contents of a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def saved(image: Image.Image, **options: Any) -> Callable[[Path], object]:
    """Return what writes an image in the format of the file's extension."""
    form = options.pop("format", None)

    def write(path: Path) -> None:
        suffix = path.suffix.lower()
        path.write_bytes(encoded(image, form or Image.registered_extensions()[suffix], **options))

    return write


def content(data: bytes) -> Callable[[Path], object]:
    """Return what writes these bytes."""
    return lambda path: path.write_bytes(data)


def tiff(bits: int, sample_format: int, photometric: int, values: npt.NDArray[Any]) -> bytes:
    """Return a TIFF file of values (H, W) or (H, W, C), written by hand."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    depths = struct.pack(f"<{channels}H", *[bits] * channels)
    data_at = 8 + 2 + 10 * 12 + 4 + 8
    tags = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, channels, bits if channels == 1 else data_at - 8),
        259: (3, 1, 1), 262: (3, 1, photometric), 273: (4, 1, data_at), 277: (3, 1, channels),
        278: (4, 1, height), 279: (4, 1, values.nbytes), 339: (3, 1, sample_format),
    }  # fmt: skip
    listed = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + listed + bytes(4)
    return head + depths.ljust(8, b"\0") + values.tobytes()


_LOSSY = {".jpg": 6.0, ".jpeg": 6.0, ".jpe": 6.0, ".jfif": 6.0, ".mpo": 6.0, ".avif": 6.0, ".gif": 4.0}


def _best(suffix: str) -> dict[str, Any]:
    """Return the options with which a format loses least."""
    if suffix == ".webp":
        return {"lossless": True}
    return {"quality": 95} if suffix.lower() in _LOSSY and suffix != ".gif" else {}


def _of_mode(
    kind: str, image: Image.Image, shows: Pixels, suffixes: str, *, tolerance: float = 0.5, **options: Any
) -> Iterator[Odd]:
    for suffix in suffixes.split():
        most = max(_LOSSY.get(suffix.lower(), 0.5), tolerance)
        yield Odd(f"{kind}{suffix}", saved(image, **_best(suffix), **options), shows, tolerance=most)


def _modes() -> Iterator[Odd]:
    yield from _of_mode(
        "color",
        DRAWN,
        COLOR,
        ".png .bmp .dib .tif .tiff .webp .tga .ppm .pnm .jp2 .j2k .jpg .jpeg .jpe .jfif .JPG .avif .gif .pcx "
        ".sgi .qoi .apng",
    )
    gray = Image.fromarray(GRAY)
    yield from _of_mode(
        "gray", gray, in_color(GRAY), ".png .bmp .tif .webp .tga .pgm .jp2 .jpg .avif .gif .pcx"
    )
    bilevel = Image.fromarray(BLACK_WHITE).convert("1")
    yield from _of_mode("bits", bilevel, in_color(BLACK_WHITE), ".png .bmp .tif .pbm .gif .pcx")
    yield Odd("fax.tif", saved(bilevel, compression="group4"), in_color(BLACK_WHITE))
    palette = DRAWN.quantize(64)
    yield from _of_mode(
        "palette", palette, np.asarray(palette.convert("RGB")), ".png .bmp .tif .gif .tga .pcx"
    )
    yield Odd("cmyk.tif", saved(DRAWN.convert("CMYK")), COLOR, tolerance=2)
    ways: dict[str, dict[str, Any]] = {
        "cmyk": {},
        "progressive": {"progressive": True},
        "subsampled": {"subsampling": 2},
        "full": {"subsampling": 0},
        "restarts": {"restart_marker_blocks": 2},
        "optimized": {"optimize": True},
    }
    for name, options in ways.items():
        image = DRAWN.convert("CMYK") if name == "cmyk" else DRAWN
        yield Odd(f"{name}.jpg", saved(image, quality=95, **options), COLOR, tolerance=6)
    for compression in ("lzw", "jpeg", "tiff_adobe_deflate", "packbits"):
        extra = {"quality": 95} if compression == "jpeg" else {}
        yield Odd(f"{compression}.tif", saved(DRAWN, compression=compression, **extra), COLOR, tolerance=6)


def _alpha() -> Iterator[Odd]:
    ramp = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    share = ramp[..., None] / 255
    see_through = DRAWN.copy()
    see_through.putalpha(Image.fromarray(ramp))
    shows = np.rint(COLOR * share + 255 * (1 - share)).astype(np.uint8)
    yield from _of_mode("alpha", see_through, shows, ".png .webp .tif .tga .jp2 .qoi", tolerance=1)
    gray = Image.fromarray(GRAY).convert("LA")
    gray.putalpha(Image.fromarray(ramp))
    shows = in_color(np.rint(GRAY * share[..., 0] + 255 * (1 - share[..., 0])))
    yield from _of_mode("gray-alpha", gray, shows, ".png .tif .webp", tolerance=1)
    for name, value in (("white-on-clear", 255), ("light-on-clear", 220), ("black-on-clear", 0)):
        ink = Image.new("RGB", (WIDTH, HEIGHT), (value,) * 3)
        ink.putalpha(Image.fromarray(255 - GRAY))
        yield from _of_mode(name, ink, in_color(GRAY), ".png .webp .tif", tolerance=1)
    clear = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    yield Odd("all-clear.png", saved(clear), plain(255, 255, 255))
    bilevel = Image.fromarray(BLACK_WHITE)
    yield Odd("clear-gray.png", saved(bilevel, transparency=0), in_color(BLACK_WHITE * 0 + 255 - BLACK_WHITE))
    stamp = Image.new("P", (WIDTH, HEIGHT), 0)
    stamp.putpalette([255, 0, 0, 0, 0, 255])
    ImageDraw.Draw(stamp).rectangle((10, 10, 30, 30), fill=1)
    shown = np.where(np.asarray(stamp)[..., None] == 1, (0, 0, 255), (255, 255, 255)).astype(np.uint8)
    yield from _of_mode("clear-palette", stamp, shown, ".png .gif", transparency=0)


def _deep() -> Iterator[Odd]:
    deep = Image.fromarray(GRAY.astype(np.uint16) * 257)
    yield from _of_mode("deep", deep, in_color(GRAY), ".png .tif .jp2", tolerance=1)
    big = (GRAY.astype(">u2") * 257).tobytes()
    yield Odd("deep.pgm", content(b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + big), in_color(GRAY), tolerance=1)
    colors = (COLOR.astype(">u2") * 257).tobytes()
    yield Odd("deep.ppm", content(b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + colors), COLOR, tolerance=1)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in COLOR.astype(np.uint16) * 257)
    yield Odd("deep-color.png", content(_png(WIDTH, HEIGHT, 16, 2, lines)), COLOR, tolerance=1)
    twelve = (GRAY.astype(np.uint16) * 16).astype(">u2").tobytes()
    yield Odd("12.pgm", content(b"P5 %d %d 4095\n" % (WIDTH, HEIGHT) + twelve), in_color(GRAY), tolerance=1)
    yield Odd("float.tif", saved(Image.fromarray(GRAY.astype(np.float32) / 255)), in_color(GRAY))
    yield Odd("whole.tif", saved(Image.fromarray(GRAY.astype(np.int32))), in_color(GRAY))
    yield Odd("deep-color.tif", content(tiff(16, 1, 2, COLOR.astype("<u2") * 257)), COLOR, tolerance=1)
    yield Odd("negative.tif", content(tiff(16, 1, 0, 65535 - GRAY.astype("<u2") * 257)), in_color(GRAY))
    unknown = "which of them are black and white is unknown"
    for name, values, reason in (
        ("float-1000.tif", GRAY.astype(np.float32) * 4, unknown),
        ("float-below.tif", GRAY.astype(np.float32) / 255 - 1, unknown),
        ("float-nan.tif", np.where(GRAY > 99, np.nan, 0).astype(np.float32), "infinite or not a number"),
        ("whole-large.tif", GRAY.astype(np.int32) * 257, unknown),
        ("12-in-16.tif", GRAY.astype(np.uint16) * 16, "if it has 12 bits, multiply its values by 16"),
        ("12-in-16.png", GRAY.astype(np.uint16) * 16, "if it has 12 bits, multiply its values by 16"),
    ):
        yield Odd(name, saved(Image.fromarray(values)), reason=reason)
    yield Odd("signed.tif", content(tiff(16, 2, 1, GRAY.astype("<i2") * 99 - 9)), reason=unknown)


_INVERSE: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}
"""How a picture lies in a file with each value of the orientation (EXIF 2.32, 4.6.4)."""


def _exif_block(turn: int, at: int = 8) -> bytes:
    """Return EXIF data with an orientation, whose table is said to begin at the offset ``at``."""
    table = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, turn, 0, 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", at) + table


def _exif() -> Iterator[Odd]:
    for turn, lay in _INVERSE.items():
        image = Image.fromarray(np.ascontiguousarray(lay(COLOR)))
        exif = image.getexif()
        exif[0x0112] = turn
        yield from _of_mode(f"turned-{turn}", image, COLOR, ".jpg .png .webp .tif", exif=exif)
    block = _exif_block(1)
    for name, damaged in {
        "cut": block[:12],
        "noise": b"Exif\0\0" + np.random.default_rng(0).bytes(60),
        "zeros": b"Exif\0\0" + bytes(40),
        "turn-0": _exif_block(0),
        "turn-99": _exif_block(99),
        "far": _exif_block(1, at=0x7FFFFFFF),
    }.items():
        yield Odd(f"exif-{name}.jpg", saved(DRAWN, exif=damaged, quality=95), COLOR, tolerance=6)


def _frames() -> Iterator[Odd]:
    others = [drawing(seed) for seed in (1, 2)]
    for suffix in (".gif", ".png", ".webp", ".tif", ".mpo", ".avif"):
        write = saved(DRAWN, save_all=True, append_images=others, **_best(suffix))
        yield Odd(f"frames{suffix}", write, COLOR, tolerance=_LOSSY.get(suffix, 0.5))


def _chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _png(width: int, height: int, bits: int, color: int, lines: bytes, crc: int | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    body = _chunk(b"IDAT", zlib.compress(lines), crc)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body + _chunk(b"IEND", b"")


def _damaged() -> Iterator[Odd]:
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    whole = {suffix: encoded(Image.fromarray(noise), form) for suffix, form in _FORMATS.items()}
    for suffix, data in whole.items():
        for percent in (10, 60):
            yield Odd(f"cut-{percent}{suffix}", content(data[: len(data) * percent // 100]), reason=".")
        yield Odd(f"empty{suffix}", content(b""), reason="the file is empty")
        yield Odd(f"text{suffix}", content(b"This is not an image.\n"), reason="not an image")
    lines = (b"\0" + bytes(3 * WIDTH)) * HEIGHT
    # Most viewers trust the checksum of the pixels, which is within them, more than that around them.
    rows = b"".join(b"\0" + row.tobytes() for row in COLOR)
    yield Odd("checksum.png", content(_png(WIDTH, HEIGHT, 8, 2, rows, crc=1)), COLOR)
    packed = bytearray(zlib.compress(rows))
    packed[len(packed) // 2] ^= 0xFF
    flipped = _png(WIDTH, HEIGHT, 8, 2, rows).replace(zlib.compress(rows), bytes(packed))
    yield Odd("bits.png", content(flipped), reason=".")
    yield Odd("no-lines.png", content(_png(WIDTH, HEIGHT, 8, 2, b"")), reason=".")
    yield Odd("0x0.png", content(_png(0, 0, 8, 2, b"")), reason=".")
    yield Odd("huge.png", content(_png(60_000, 60_000, 8, 2, lines)), reason="megapixels: make it smaller")
    yield Odd("long.bmp", content(_bmp(60_000, 60_000)), reason="megapixels: make it smaller")
    for name, data, reason in (
        ("web.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        ("phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "save it as JPEG"),
        ("film.png", b"\0\0\0\x18ftypisom\0\0\0\0isom", "a video"),
        ("vector.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        ("paper.jpg", b"%PDF-1.7\n", "a PDF document"),
        ("packed.jpg", b"PK\x03\x04" + bytes(30), "an archive"),
        ("pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("array.png", b"\x93NUMPY\x01\0", "dataset: arrays"),
        ("zeros.jpg", bytes(4000), "only zero bytes"),
    ):
        yield Odd(name, content(data), reason=reason)
    for name, form in {"is-png.jpg": "PNG", "is-bmp.jpeg": "BMP", "is-tif.png": "TIFF"}.items():
        yield Odd(name, content(encoded(DRAWN, form)), COLOR)
    for name, form in {"is-jpg.png": "JPEG", "is-gif.jpg": "GIF", "is-jpg.bmp": "JPEG"}.items():
        yield Odd(name, content(encoded(DRAWN, form, quality=95)), COLOR, tolerance=6)
    yield Odd("more.jpg", content(encoded(DRAWN, "JPEG", quality=95) + b"trailing"), COLOR, tolerance=6)
    yield Odd("more.png", content(encoded(DRAWN, "PNG") + b"trailing"), COLOR)


_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".webp": "WEBP"}


def _bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def _sizes() -> Iterator[Odd]:
    color = (200, 120, 40)
    for width, height in ((1, 1), (1, 500), (500, 1), (2, 3), (3000, 2), (1, 20_000)):
        image = Image.new("RGB", (width, height), color)
        yield Odd(f"{width}x{height}.png", saved(image), plain(*color), tolerance=1)
        yield Odd(f"{width}x{height}.jpg", saved(image, quality=95), plain(*color), tolerance=4)
    scan = Image.new("1", (9000, 6000), 1)
    yield Odd("scan.png", saved(scan), plain(255, 255, 255))


NAMES = (
    "a,b", "it's", 'say "a"', "two\nlines", "<script>alert(1)<\u2215script>", "a&amp;b", "a;b", "100%",
    "%s", "#1", "caf\u00e9", "cafe\u0301", "Same", "same", "\U0001f600", "n" * 240, "-v", " blank ",
    "dots...", "tab\there", "back\\slash", "$HOME", "*", "[1]", "`id`", "right\u202eleft", "con", "=1+1",
    "nan", "null", "{x}", "~",
    "\x1b[31mred", os.fsdecode(b"latin\xe9"), os.fsdecode(b"\xff\xfe"), "a'; DROP TABLE x --",
)  # fmt: skip
"""Names without extension."""


def _names() -> Iterator[Odd]:
    for name in NAMES:
        yield Odd(f"{name}.png", saved(DRAWN), COLOR)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its path may be too long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _linked(path: Path) -> None:
    target = path.with_name(f".{path.name}.target")
    saved(DRAWN, format="PNG")(target)
    path.symlink_to(target.name)


def _special() -> Iterator[Odd]:
    yield Odd("link.png", _linked, COLOR)
    yield Odd("gone.png", lambda path: path.symlink_to("nowhere.png"), reason="is a link to nowhere.png")
    yield Odd("ring.png", lambda path: path.symlink_to(path.name), reason="a link that leads back to itself")
    yield Odd("pipe.png", os.mkfifo, reason="not a regular file")
    yield Odd("socket.png", _socket, reason="not a regular file")


def odd_images() -> list[Odd]:
    """Return all of them."""
    parts = (_modes, _alpha, _deep, _exif, _frames, _damaged, _sizes, _names, _special)
    return [each for part in parts for each in part()]


def write_odd_images(root: Path) -> dict[Path, Odd]:
    """Write all files below ``root``, half of them into each class, and return them by their paths."""
    written = {}
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for number, odd in enumerate(odd_images()):
        path = root / CLASSES[number % 2] / odd.name
        assert not os.path.lexists(path), path
        odd.write(path)
        written[path] = odd
    return written


if __name__ == "__main__":
    print(f"{len(write_odd_images(Path(sys.argv[1]))):,} files")  # noqa: T201
