"""Pictures of any shape in the format of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.config.image_format import STANDARD, ImageFormat, Resize
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Source
from hpo.data.fit import BORDER, as_pixels, fit, in_format, with_borders
from hpo.data.images import decode_image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def fitted(picture: Image.Image, form: ImageFormat) -> Bytes:
    return with_borders(as_pixels(fit(picture, form)), form)


@pytest.fixture
def wide() -> Image.Image:
    """64 x 32 pixels: red at both ends, blue in the middle half."""
    picture = Image.new("RGB", (64, 32), RED)
    picture.paste(BLUE, (16, 0, 48, 32))
    return picture


@pytest.mark.parametrize("resize", ["squeeze", "crop", "pad"])
def test_fit_fills_the_format_whatever_the_shape(wide: Image.Image, resize: Resize) -> None:
    for height, width, channels in ((16, 16, 3), (24, 40, 1), (48, 8, 3)):
        pixels = fitted(wide, ImageFormat(height, width, channels, resize))
        assert pixels.shape == (channels, height, width) and pixels.dtype == np.uint8


def test_squeeze_keeps_all_of_the_picture_and_crop_its_middle(wide: Image.Image) -> None:
    squeezed = fitted(wide, ImageFormat(16, 16))
    assert squeezed[:, 8, 0].tolist() == list(RED) and squeezed[:, 8, 8].tolist() == list(BLUE)
    cropped = fitted(wide, ImageFormat(16, 16, 3, "crop"))
    assert (cropped[:, :, 4:12] == np.array(BLUE).reshape(3, 1, 1)).all()


def test_pad_keeps_the_shape_between_gray_borders(wide: Image.Image) -> None:
    padded = fitted(wide, ImageFormat(16, 16, 3, "pad"))
    assert (padded[:, :4] == BORDER).all() and (padded[:, 12:] == BORDER).all()
    assert padded[:, 8, 0].tolist() == list(RED) and padded[:, 4, 8].tolist() == list(BLUE)


def test_gray_in_one_channel_is_the_same_gray_as_in_three() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(levels).convert("RGB")
    assert np.array_equal(fitted(picture, ImageFormat(16, 16, 1))[0], levels)


def test_the_standard_format_is_what_earlier_versions_made(wide: Image.Image) -> None:
    theirs = wide.resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert np.array_equal(fitted(wide, STANDARD), np.asarray(theirs).transpose(2, 0, 1))


def source(images: Bytes) -> Source:
    labels = np.zeros(len(images), np.int64)
    decode = lambda: Decoded(DecodedSplit(labels, [images]), DecodedSplit(labels, [images]))  # noqa: E731
    _, channels, height, width = images.shape
    return Source("a", ("b",), 4, "c", "sign", decode, format=ImageFormat(height, width, channels))


def test_in_format_changes_arrays_and_their_signature() -> None:
    gray = source(np.arange(4 * 64, dtype=np.uint8).reshape(4, 1, 8, 8))
    assert in_format(gray, ImageFormat(8, 8, 1, "pad")).signature == "sign"
    larger = in_format(gray, ImageFormat(16, 24, 3))
    assert larger.signature != "sign" and larger.format.shape == (3, 16, 24)
    (chunk,) = larger.decode().test.chunks
    assert chunk.shape == (4, 3, 16, 24) and np.array_equal(chunk[:, 0], chunk[:, 2])


def test_a_jpeg_is_read_at_a_reduced_size_for_other_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGB", (1600, 800), RED)
    picture.paste(BLUE, (0, 0, 800, 800))
    picture.save(tmp_path / "a.jpg", quality=95)
    decoded = []
    resize = Image.Image.resize

    def noted(self: Image.Image, *args: Any) -> Image.Image:
        decoded.append(self.size)
        return resize(self, *args)

    monkeypatch.setattr(Image.Image, "resize", noted)
    found = decode_image(tmp_path / "a.jpg", ImageFormat(64, 64))
    assert found.size == (1600, 800) and decoded == [(400, 200)]
    assert np.abs(found.pixels[:, 32, 10].astype(int) - BLUE).max() < 4
    decode_image(tmp_path / "a.jpg", STANDARD)
    assert decoded[1] == (1600, 800)  # the same pixels as ever


def test_a_scan_beyond_pillows_limit_is_read_if_a_jpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = Image.new("RGB", (640, 640), RED)
    scan.save(tmp_path / "a.jpg")
    scan.save(tmp_path / "b.jpg", progressive=True)
    scan.save(tmp_path / "c.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    assert decode_image(tmp_path / "a.jpg", STANDARD).size == (640, 640)
    for name in ("b.jpg", "c.png"):
        with pytest.raises(Image.DecompressionBombError):
            decode_image(tmp_path / name, STANDARD)
