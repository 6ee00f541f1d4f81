"""Data that is drawn: pictures of digits and shapes, tables, sounds, token sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
_STROKES = {  # rows and columns in a box of 9 x 6
    "a": (slice(0, 1), slice(1, 5)),
    "g": (slice(4, 5), slice(1, 5)),
    "d": (slice(8, 9), slice(1, 5)),
    "f": (slice(1, 4), slice(0, 1)),
    "b": (slice(1, 4), slice(5, 6)),
    "e": (slice(5, 8), slice(0, 1)),
    "c": (slice(5, 8), slice(5, 6)),
}


def digits(count: int, seed: int = 0, size: int = 12, noise: float = 0.15) -> tuple[Tensor, Tensor]:
    """Pictures (n, 1, size, size) in [0, 1] of seven-segment digits at random places, and labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.zeros(10, 9, 6)
    for digit, segments in enumerate(_SEGMENTS):
        for segment in segments:
            boxes[digit][_STROKES[segment]] = 1
    labels = torch.randint(10, (count,), generator=generator)
    tops = torch.randint(size - 9 + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(size - 6 + 1, (count,), generator=generator).tolist()
    pictures = torch.zeros(count, 1, size, size)
    ink = 0.5 + 0.5 * torch.rand(count, generator=generator)
    for row, (label, top, left) in enumerate(zip(labels.tolist(), tops, lefts, strict=True)):
        pictures[row, 0, top : top + 9, left : left + 6] = boxes[label] * ink[row]
    pictures += noise * torch.randn(pictures.shape, generator=generator)
    return pictures.clamp(0, 1), labels


def blobs(count: int, seed: int = 0, size: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy pictures (n, 1, s, s), masks (n, s, s) of a disk (1) or a square (2), boxes (n, 4) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    radius = torch.randint(2, 5, (count, 1, 1), generator=generator)
    centers = [torch.randint(4, size - 4, (count, 1, 1), generator=generator) for _ in range(2)]
    kinds = torch.randint(1, 3, (count, 1, 1), generator=generator)
    rows, columns = torch.arange(size)[None, :, None], torch.arange(size)[None, None, :]
    down, right = rows - centers[0], columns - centers[1]
    inside = torch.where(
        kinds == 1, down**2 + right**2 <= radius**2, (down.abs() <= radius) & (right.abs() <= radius)
    )
    masks = inside * kinds
    pictures = inside.float() * torch.where(kinds == 1, 1.0, 0.6)
    pictures = pictures + 0.2 * torch.randn(count, size, size, generator=generator)
    boxes = torch.cat([centers[0], centers[1], radius, radius], 1).flatten(1).float() / size
    return pictures[:, None], masks, boxes


def houses(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Raw features (n, 8) of very different sizes, and prices (n, 1) in thousands."""
    generator = torch.Generator().manual_seed(seed)
    plain = torch.randn(count, 8, generator=generator)
    price = 3 * plain[:, 0] + 2 * plain[:, 1] * (plain[:, 2] > 0) - 2 * plain[:, 3].abs() + plain[:, 4]
    price = price + 0.5 * torch.randn(count, generator=generator)
    sizes = torch.tensor([1.0, 1000.0, 30.0, 5.0, 50000.0, 1.0, 2.0, 0.1])
    return plain * sizes + 3 * sizes, 200 + 30 * price[:, None]


def clusters(
    count: int, classes: int, features: int, seed: int = 0, spread: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Points (n, features) around one center per class, and labels (n,)."""
    centers = 2 * torch.randn(classes, features, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return centers[labels] + spread * torch.randn(count, features, generator=generator), labels


def moons(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two interleaved half circles (n, 2), and labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=generator)
    angle = math.pi * torch.rand(count, generator=generator)
    points = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    points = torch.where(labels[:, None] == 1, torch.tensor([1.0, 0.5]) - points, points)
    return points + 0.1 * torch.randn(count, 2, generator=generator), labels


def sounds(count: int, classes: int = 5, length: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Waves (n, 1, length) of one pitch per class with noise, and labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    pitch = 0.05 + 0.08 * labels[:, None] + 0.01 * torch.randn(count, 1, generator=generator)
    phase = 6.3 * torch.rand(count, 1, generator=generator)
    waves = torch.sin(pitch * torch.arange(length) * 2 + phase)
    return (waves + 0.5 * torch.randn(count, length, generator=generator))[:, None], labels


def sentences(count: int, length: int = 16, vocabulary: int = 20, seed: int = 0) -> Tensor:
    """Token ids (n, length): each token has three followers, of which one is likely."""
    followers = torch.randint(vocabulary, (vocabulary, 3), generator=torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(seed)
    tokens = [torch.randint(vocabulary, (count,), generator=generator)]
    for _ in range(length - 1):
        choice = torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), count, True, generator=generator)
        tokens.append(followers[tokens[-1], choice])
    return torch.stack(tokens, 1)


def pairs(count: int, seed: int = 0, vocabulary: int = 12, longest: int = 7) -> tuple[Tensor, Tensor]:
    """Source (n, longest) and its reverse (n, longest + 2), with begin 1, end 2 and padding 0."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.zeros(count, longest, dtype=torch.long)
    target = torch.zeros(count, longest + 2, dtype=torch.long)
    for row in range(count):
        length = int(torch.randint(2, longest + 1, (), generator=generator))
        words = torch.randint(3, vocabulary, (length,), generator=generator)
        source[row, :length] = words
        target[row, : length + 2] = torch.cat([torch.tensor([1]), words.flip(0), torch.tensor([2])])
    return source, target


def batches(count: int, size: int) -> Iterator[Tensor]:
    """Positions (size,) of each full batch of a shuffled epoch."""
    yield from torch.randperm(count)[: count // size * size].split(size)
