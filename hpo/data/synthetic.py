"""Ten classes of synthetic 32 x 32 images: a data set that is generated in seconds and still needs tuning.

Seven outlines and three textures lie over clutter, with random colors, positions, sizes and rotations, under
noise. A mirrored image is as likely as the original and the object lies within the frame, so flips and small
shifts preserve the label. Pixels are computed only with operations that IEEE 754 rounds exactly (+ - * /
sqrt, comparisons): a seed gives the same bytes on any machine, which sines and matrix products do not
guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo.rng import Key

Floats = npt.NDArray[np.floating[Any]]  # float32 throughout
Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Shape = Callable[[Floats, Floats], Floats]
"""Signed distance to an outline of radius about 1 at the points (u, v); negative inside."""
Texture = Callable[[Floats, Floats], Floats]
"""Signed distance to the edge of a texture's marks, in periods; negative inside."""

SIDE = 32
VERSION = 1  # increase it when the images change, so that old caches are not reused
TRAIN_PER_CLASS = 1_000
TEST_PER_CLASS = 200
_CHUNK = 400  # images generated at once: their working set stays in the processor's cache

# Difficulty; docs/data.md lists the accuracies that these values give.
_RADIUS = (6.0, 11.0)  # pixels
_CONTRAST = (0.1, 0.5)  # object minus background, in each channel
_FAINT = 0.7  # how far the faintest object fades into the background
_PERIOD = (4.0, 7.0)  # pixels per period of a texture
_NOISE = (0.03, 0.4)  # range of the maximum noise of a pixel
_CLUTTER = 4  # strokes and spots per image
_NEGATIVES = 0.2  # share of images with inverted colors: without them brightness alone would reveal too much


def _max(a: Floats, b: Floats | float) -> Floats:
    larger: Floats = np.maximum(a, b)
    return larger


def _min(a: Floats, b: Floats | float) -> Floats:
    smaller: Floats = np.minimum(a, b)
    return smaller


def _abs(a: Floats) -> Floats:
    size: Floats = np.abs(a)
    return size


def _sqrt(a: Floats) -> Floats:
    root: Floats = np.sqrt(a)
    return root


def _clip(a: Floats, low: float, high: float) -> Floats:
    clipped: Floats = np.clip(a, low, high)
    return clipped


def _disc(u: Floats, v: Floats) -> Floats:
    return _sqrt(u * u + v * v) - 1.0


def _ring(u: Floats, v: Floats) -> Floats:
    return _abs(_sqrt(u * u + v * v) - 0.75) - 0.25


def _square(u: Floats, v: Floats) -> Floats:
    return _max(_abs(u), _abs(v)) - 0.8


def _triangle(u: Floats, v: Floats) -> Floats:
    return _max(_abs(u) * 0.8660254 + v * 0.5, -v) - 0.55


def _cross(u: Floats, v: Floats) -> Floats:
    a, b = _abs(u), _abs(v)
    return _max(_max(a, b) - 1.0, _min(a, b) - 0.32)


def _crescent(u: Floats, v: Floats) -> Floats:
    bite = u - 0.55
    return _max(_disc(u, v), 0.8 - _sqrt(bite * bite + v * v))


def _star(u: Floats, v: Floats) -> Floats:
    """A five-pointed star, folded into one of its ten equal wedges by reflections across fixed lines."""
    x, y = _abs(u), v
    for normal_x in (0.80901699, -0.80901699):
        behind = _max(x * normal_x - y * 0.58778525, 0.0) * 2.0
        x, y = x - behind * normal_x, y + behind * 0.58778525
    x, y = _abs(x), y - 1.1
    edge_x, edge_y = 0.45 * 0.58778525, 0.45 * 0.80901699 - 1.0
    along = _clip((x * edge_x + y * edge_y) / (edge_x * edge_x + edge_y * edge_y), 0.0, 1.1)
    off_x, off_y = x - edge_x * along, y - edge_y * along
    distance = _sqrt(off_x * off_x + off_y * off_y)
    return np.where(y * edge_x < x * edge_y, -distance, distance)


def _wave(x: Floats) -> Floats:
    """A triangle wave of period 1 between -0.25 and 0.25."""
    return _abs(_fraction(x) - 0.5) - 0.25


def _fraction(x: Floats) -> Floats:
    whole: Floats = np.floor(x)
    return x - whole


def _stripes(u: Floats, _: Floats) -> Floats:
    return _wave(u)


def _checks(u: Floats, v: Floats) -> Floats:
    a, b = _wave(u), _wave(v)
    return -_max(_min(a, b), _min(-a, -b))


def _dots(u: Floats, v: Floats) -> Floats:
    x, y = _fraction(u) - 0.5, _fraction(v) - 0.5
    return _sqrt(x * x + y * y) - 0.3


SHAPES: dict[str, Shape] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "crescent": _crescent,
}
TEXTURES: dict[str, Texture] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
}
CLASSES: tuple[str, ...] = (*SHAPES, *TEXTURES)


def make_synthetic(
    seed: int, train_per_class: int = TRAIN_PER_CLASS, test_per_class: int = TEST_PER_CLASS
) -> tuple[Bytes, Labels, Bytes, Labels]:
    """Generate the data set of a seed.

    Returns train images (10 * train_per_class, 3, 32, 32) uint8, their labels int64, and the same for test;
    classes are balanced and the order is shuffled.
    """
    key = Key(seed) / "synthetic"
    per_class = train_per_class + test_per_class
    images = np.stack([draw_class(name, per_class, key / name) for name in CLASSES])
    labels = np.broadcast_to(np.arange(len(CLASSES), dtype=np.int64)[:, None], images.shape[:2])
    train = _shuffled(images[:, :train_per_class], labels[:, :train_per_class], key / "train")
    test = _shuffled(images[:, train_per_class:], labels[:, train_per_class:], key / "test")
    return *train, *test


def _shuffled(images: Bytes, labels: Labels, key: Key) -> tuple[Bytes, Labels]:
    order = key.numpy().permutation(labels.size)
    return images.reshape(-1, 3, SIDE, SIDE)[order], labels.reshape(-1)[order]


def draw_class(name: str, count: int, key: Key) -> Bytes:
    """Generate images (count, 3, 32, 32) of one class."""
    starts = range(0, count, _CHUNK)
    return np.concatenate([_draw_chunk(name, min(_CHUNK, count - start), key / start) for start in starts])


def _draw_chunk(name: str, count: int, key: Key) -> Bytes:
    random = key.numpy()
    ground = _ground(random, count)
    image = _add_clutter(random, ground)
    radius = _uniform(random, count, *_RADIUS)
    u, v = _object_grid(random, radius)
    contrast = _uniform(random, (count, 3, 1, 1), *_CONTRAST)
    color = ground[:, :, SIDE // 2, SIDE // 2, None, None] + contrast
    outline, ink = _object(random, name, u, v, radius[:, None, None], color)
    solid = 1.0 - _mostly_small(random, (count, 1, 1)) * np.float32(_FAINT)
    image = _blend(image, ink, _coverage(outline, radius[:, None, None]) * solid)
    negative = random.random((count, 1, 1, 1)) < _NEGATIVES
    return _to_bytes(np.where(negative, 1.0 - image, image) + _noise(random, count))


def _object(
    random: np.random.Generator, name: str, u: Floats, v: Floats, radius: Floats, color: Floats
) -> tuple[Floats, Floats]:
    """Return the outline (count, 32, 32), a signed distance in radii, and the colors (count, 3, 32, 32)."""
    count = len(u)
    if name in TEXTURES:
        outline = np.where(random.random((count, 1, 1)) < 0.5, _disc(u, v), _square(u, v))
        period = _uniform(random, (count, 1, 1), *_PERIOD)
        per_radius = radius / period
        marks = _coverage(TEXTURES[name](u * per_radius, v * per_radius), period)
        other = color - _uniform(random, (count, 3, 1, 1), 0.3, 0.6)
        return outline, _blend(color, other, marks)
    shade = _uniform(random, (count, 1, 1, 1), -0.15, 0.15)
    return SHAPES[name](u, v), color + shade * u[:, None]


def _uniform(random: np.random.Generator, shape: int | tuple[int, ...], low: float, high: float) -> Floats:
    return random.random(shape, dtype=np.float32) * np.float32(high - low) + np.float32(low)


def _mostly_small(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return numbers in [0, 1), half of them below 1/8: a few images are hard, most are easy to learn."""
    x = random.random(shape, dtype=np.float32)
    return x * x * x


def _object_grid(random: np.random.Generator, radius: Floats) -> tuple[Floats, Floats]:
    """Return pixel coordinates (count, 32, 32) relative to a randomly placed and rotated object, in radii."""
    count = len(radius)
    reach = np.float32(SIDE / 2) - radius
    center = _uniform(random, (2, count), -1.0, 1.0) * _min(reach, 5.0) + np.float32((SIDE - 1) / 2)
    cos, sin = _direction(random, count)
    return _rotated(center[0], center[1], cos / radius, sin / radius)


def _direction(random: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Return random unit vectors without using sines: points in a square, normalized to length 1."""
    x, y = _uniform(random, (2, count), -1.0, 1.0)
    length = _sqrt(x * x + y * y) + np.float32(1e-6)
    return x / length, y / length


def _rotated(x: Floats, y: Floats, cos: Floats, sin: Floats) -> tuple[Floats, Floats]:
    """Return the pixel grid around (x, y), rotated and scaled by the vectors (cos, sin); inputs (count,)."""
    pixels = np.arange(SIDE, dtype=np.float32)
    dx = (pixels - x[:, None])[:, None, :]
    dy = (pixels - y[:, None])[:, :, None]
    c, s = cos[:, None, None], sin[:, None, None]
    return dx * c + dy * s, dy * c - dx * s


def _coverage(distance: Floats, pixels: Floats) -> Floats:
    """Return the share of each pixel inside an outline, from its signed distance, smooth over one pixel."""
    return _clip(np.float32(0.5) - distance * pixels, 0.0, 1.0)


def _blend(under: Floats, over: Floats, coverage: Floats) -> Floats:
    return under + (over - under) * coverage[:, None]


def _ground(random: np.random.Generator, count: int) -> Floats:
    """Generate smooth color fields (count, 3, 32, 32): random 4 x 4 grids, interpolated bilinearly."""
    knots = _uniform(random, (count, 3, 1, 1), 0.1, 0.6) + _uniform(random, (count, 3, 4, 4), -0.2, 0.2)
    place = np.arange(SIDE, dtype=np.float32) * np.float32(3 / SIDE)
    left = place.astype(np.int64)
    part = place - left.astype(np.float32)
    rows = knots[:, :, left] + (knots[:, :, left + 1] - knots[:, :, left]) * part[:, None]
    return rows[..., left] + (rows[..., left + 1] - rows[..., left]) * part


def _add_clutter(random: np.random.Generator, image: Floats) -> Floats:
    """Add strokes and spots of random length, color and opacity all over the images."""
    count = len(image)
    for _ in range(_CLUTTER):
        place = _uniform(random, (2, count), 0.0, SIDE)
        along, across = _rotated(place[0], place[1], *_direction(random, count))
        length = _uniform(random, (count, 1, 1), 0.0, 7.0)
        width = _uniform(random, (count, 1, 1), 0.6, 2.2)
        beyond = _max(_abs(along) - length, 0.0)
        distance = _sqrt(beyond * beyond + across * across) - width
        color = _uniform(random, (count, 3, 1, 1), 0.0, 1.0)
        strength = _uniform(random, (count, 1, 1), 0.3, 1.0)
        inside = _clip(np.float32(0.5) - distance, 0.0, 1.0)
        image = _blend(image, color, inside * strength)
    return image


def _noise(random: np.random.Generator, count: int) -> Floats:
    """Generate noise (count, 3, 32, 32) with a triangular distribution, of random amplitude per image."""
    shape = (2, count, 3, SIDE, SIDE)
    dice = np.frombuffer(random.bytes(int(np.prod(shape))), dtype=np.uint8).reshape(shape)
    spread: Floats = dice[0].astype(np.float32) - dice[1]
    low, high = np.float32(_NOISE[0] / 255), np.float32(_NOISE[1] / 255)
    return spread * (_mostly_small(random, (count, 1, 1, 1)) * (high - low) + low)


def _to_bytes(image: Floats) -> Bytes:
    levels: Floats = np.rint(_clip(image, 0.0, 1.0) * 255.0)
    return levels.astype(np.uint8)
