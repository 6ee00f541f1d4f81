"""``image_size: auto`` and ``channels: auto``: the format that fits the images, and this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hpo.config.image_format import AUTO, LARGEST, SMALLEST, STANDARD, ImageFormat
from hpo.data.images import has_color, measure, silent_pillow
from hpo.limits import available_cores, has_gpu
from hpo.text import counted, duration

SIZES = (32, 48, 64, 96, 128, 160, 192, 224)
"""Sides that ``auto`` chooses from; smaller images keep their own."""
LONGEST_EPOCH = 120.0
"""Seconds, as ``epoch_seconds`` estimates them."""
SURVEYED = 2_000
"""At most so many images are measured, evenly spaced in the order of their names."""
_IMAGES_PER_SECOND = 1_500
"""The default network on standard images, with one thread of a usual core."""
_GPU_FACTOR = 30
_PER_PIXEL = 0.1
"""Reading, moving and halving a pixel of a large image, in places of the first stage."""
_STEP = 8
_SAME_ASPECT = 0.01
_AT_ONCE = 64


@dataclass(frozen=True)
class Surveyed:
    """What some of the images of a data set are like."""

    sizes: tuple[tuple[int, int], ...]
    """Width and height of each, upright."""
    colored: bool
    sampled: bool
    """Whether others were not measured."""


def survey(paths: Sequence[Path]) -> Surveyed:
    """Measure images, or evenly spaced ones of many; those that cannot be read are left to decoding.

    Sizes are read from the files' headers. Colors are looked for in the pixels, until an image has one.
    """
    step = -(-len(paths) // SURVEYED) or 1
    chosen = paths[::step]
    with silent_pillow(), ThreadPoolExecutor(available_cores()) as pool:
        found = [(path, each) for path, each in zip(chosen, pool.map(measure, chosen), strict=True) if each]
        in_doubt = [path for path, each in found if each.may_have_color]
        parts = (in_doubt[start : start + _AT_ONCE] for start in range(0, len(in_doubt), _AT_ONCE))
        colored = any(any(pool.map(has_color, part)) for part in parts)
    return Surveyed(tuple(each.size for _, each in found), colored, step > 1)


def auto_format(
    fields: Mapping[str, str], found: Surveyed, images: int
) -> tuple[ImageFormat, tuple[str, ...]]:
    """Return the format of the fields, ``auto`` decided by the survey, and why; ``images`` are trained on."""
    given = ImageFormat.of_fields(fields)
    reasons = []
    channels = given.channels
    if fields["channels"] == AUTO and found.sizes and not found.colored:
        channels = 1
        reasons.append(f"channels: auto is 1: no image has color{_of(found)}")
    height, width = given.height, given.width
    if fields["image_size"] == AUTO and found.sizes:
        height, width, why = _auto_size(found, images)
        form = ImageFormat(height, width)
        seconds = epoch_seconds(form, images)
        takes = f"about {duration(seconds)}" if seconds >= 1 else "less than a second"
        reasons.append(
            f"image_size: auto is {form.size}: {why}; an epoch of the default network takes {takes} on this "
            "machine"
        )
    return ImageFormat(height, width, channels, given.resize), tuple(reasons)


def relative_cost(form: ImageFormat) -> float:
    """Return how long an image takes the default network, over a standard one: by places and pixels.

    Measured with one thread of a core with bf16: 3,375 images/s at 32, 2,603 at 64, 1,221 at 96, 1,145 at
    128, 614 at 192 and 387 at 224; cores without it have half of that.
    """
    halvings = max(0, (form.short_side // STANDARD.height).bit_length() - 1)
    places: float = (form.height >> halvings) * (form.width >> halvings)
    places += _PER_PIXEL * form.height * form.width if halvings else 0
    return places / (STANDARD.height * STANDARD.width)


def epoch_seconds(form: ImageFormat, images: int) -> float:
    """Estimate an epoch of the default network on this machine, with a worker's share of the cores."""
    cores = available_cores()
    threads = max(1, cores // min(cores, _WORKERS))
    speed = _IMAGES_PER_SECOND * (_GPU_FACTOR if has_gpu() else threads)
    return images * relative_cost(form) / speed


_WORKERS = 4
"""Trials that are trained at once on one machine, see `hpo.training.cores`."""


def _auto_size(found: Surveyed, images: int) -> tuple[int, int, str]:
    shorts = [min(size) for size in found.sizes]
    middle = int(median(shorts))
    same = len(set(found.sizes)) == 1
    aspect = _aspect(found.sizes)
    if middle <= SIZES[0]:
        height, width = _with_aspect(max(SMALLEST, middle), aspect)
        return height, width, _described(found, same, middle)
    fitting = [_with_aspect(side, aspect) for side in SIZES if side <= middle]
    affordable = [
        each for each in fitting if epoch_seconds(ImageFormat(*each), images) <= LONGEST_EPOCH
    ] or fitting[:1]
    chosen = affordable[-1]
    why = _described(found, same, middle)
    if chosen != fitting[-1]:
        next_one = ImageFormat(*fitting[fitting.index(chosen) + 1])
        why += f", and at {next_one.size} an epoch would take {duration(epoch_seconds(next_one, images))}"
    return *chosen, why


def _described(found: Surveyed, same: bool, middle: int) -> str:
    if same:
        width, height = found.sizes[0]
        return f"every image has {height} x {width} pixels{_of(found)}"
    return f"half of the images have at least {middle} pixels on the short side{_of(found)}"


def _of(found: Surveyed) -> str:
    return f" (of {counted(len(found.sizes), 'image')} that were looked at)" if found.sampled else ""


def _aspect(sizes: Iterable[tuple[int, int]]) -> float:
    """Return width over height if it is the same for all, else 1."""
    aspects = [width / height for width, height in sizes]
    middle = median(aspects)
    return middle if all(abs(each / middle - 1) <= _SAME_ASPECT for each in aspects) else 1.0


def _with_aspect(short: int, aspect: float) -> tuple[int, int]:
    """Return height and width of an aspect with this short side."""
    long = short * max(aspect, 1 / aspect)
    if long > SIZES[0]:
        long = _STEP * round(long / _STEP)
    long = max(short, min(LARGEST, round(long)))
    return (short, long) if aspect >= 1 else (long, short)
