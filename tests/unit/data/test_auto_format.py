"""``auto``: the size and the channels that fit the images and the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hpo.config.image_format import ImageFormat
from hpo.data import auto_format
from hpo.data.auto_format import Surveyed, epoch_seconds, survey

AUTO = {"image_size": "auto", "resize": "squeeze", "channels": "auto"}


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_format, "available_cores", lambda: 2)
    monkeypatch.setattr(auto_format, "has_gpu", lambda: False)


def chosen(*sizes: tuple[int, int], images: int = 1_000) -> ImageFormat:
    return auto_format.auto_format(AUTO, Surveyed(sizes, True, False), images)[0]


@pytest.mark.parametrize(
    ("sizes", "height", "width"),
    [
        ([(28, 28)], 28, 28),
        ([(8, 8)], 8, 8),
        ([(5, 5)], 8, 8),
        ([(32, 32)], 32, 32),
        ([(96, 64)], 64, 96),
        ([(64, 96), (80, 120)], 96, 64),
        ([(71, 90), (80, 71), (500, 400)], 64, 64),
        ([(200, 150)], 128, 168),
        ([(3000, 200)], 192, 224),
        ([(20, 61)], 64, 20),
    ],
)
def test_auto_size_follows_the_shape_and_the_median(
    sizes: list[tuple[int, int]], height: int, width: int
) -> None:
    form = chosen(*sizes)
    assert (form.height, form.width) == (height, width)


def test_auto_size_is_what_the_machine_trains_in_two_minutes() -> None:
    mixed = Surveyed(((500, 400), (400, 500)), True, False)
    form, reasons = auto_format.auto_format(AUTO, mixed, 100_000)
    assert form.size == "64" and epoch_seconds(form, 100_000) <= auto_format.LONGEST_EPOCH
    assert epoch_seconds(ImageFormat(96, 96), 100_000) > auto_format.LONGEST_EPOCH
    assert reasons == (
        "image_size: auto is 64: half of the images have at least 400 pixels on the short side, and at 96 an "
        "epoch would take 3 min 30 s; an epoch of the default network takes about 1 min 33 s on this machine",
    )
    assert chosen((500, 400), images=10_000_000).size == "32x40"  # never below 32


def test_values_that_are_given_stay(picture: Callable[..., Path]) -> None:
    given = {"image_size": "48x64", "resize": "pad", "channels": "3"}
    gray = Surveyed(((28, 28),), False, False)
    assert auto_format.auto_format(given, gray, 10) == (ImageFormat(48, 64, 3, "pad"), ())
    form, reasons = auto_format.auto_format({**given, "channels": "auto"}, gray, 10)
    assert form.channels == 1 and reasons == ("channels: auto is 1: no image has color",)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, mode: str, color: object, size: tuple[int, int] = (30, 20), turn: int = 1) -> Path:
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.new(mode, size, color).save(tmp_path / name, exif=exif)  # type: ignore[arg-type]
        return tmp_path / name

    return make


def test_survey_finds_sizes_upright_and_color(picture: Callable[..., Path], tmp_path: Path) -> None:
    gray = [
        picture("gray.png", "L", 9),
        picture("gray.jpg", "RGB", (90, 90, 90)),
        picture("turned.jpg", "L", 9, turn=6),
    ]
    (tmp_path / "broken.png").write_bytes(b"no")
    found = survey([*gray, tmp_path / "broken.png"])
    assert found == Surveyed(((30, 20), (30, 20), (20, 30)), False, False)
    assert survey([*gray, picture("color.png", "RGB", (90, 40, 40))]).colored


def test_survey_of_many_images_is_a_sample_and_says_so(
    picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_format, "SURVEYED", 4)
    path = picture("gray.png", "L", 9)
    found = survey([path] * 10)
    assert len(found.sizes) == 4 and found.sampled
    _, reasons = auto_format.auto_format(AUTO, found, 10)
    assert reasons[0] == "channels: auto is 1: no image has color (of 4 images that were looked at)"
