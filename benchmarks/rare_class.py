"""Draws the plates of docs/data.md: intact ones and, twelve times rarer, cracked ones, 96 x 64 pixels.

``python benchmarks/rare_class.py FOLDER`` writes ``FOLDER/train`` and ``FOLDER/test``, a folder of PNGs per
class, the same ones each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 96, 64
COUNTS = {"train": {"intact": 1200, "cracked": 100}, "test": {"intact": 600, "cracked": 50}}


def plate(draws: np.random.Generator, *, cracked: bool) -> Image.Image:
    """Draw a plate with scratches and stains; a crack is a jagged line, wider than the scratches."""
    base = (
        draws.normal(draws.uniform(105, 165), 10, (HEIGHT, WIDTH))
        + np.linspace(-12, 12, WIDTH) * draws.normal()
    )
    image = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    pen = ImageDraw.Draw(image)
    for _ in range(draws.integers(1, 5)):
        _scratch(pen, draws)
    for _ in range(draws.integers(0, 3)):
        x, y, r = draws.uniform(0, WIDTH), draws.uniform(0, HEIGHT), draws.uniform(2, 7)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=int(draws.uniform(80, 190)))
    if cracked:
        _crack(pen, draws)
    return image.filter(ImageFilter.GaussianBlur(0.5))


def _scratch(pen: ImageDraw.ImageDraw, draws: np.random.Generator) -> None:
    start, angle = draws.uniform((0, 0), (WIDTH, HEIGHT)), draws.uniform(0, 2 * np.pi)
    end = start + draws.uniform(15, 50) * np.array([np.cos(angle), np.sin(angle)])
    pen.line([*start, *end], fill=int(draws.uniform(50, 95)), width=1)


def _crack(pen: ImageDraw.ImageDraw, draws: np.random.Generator) -> None:
    at, angle = draws.uniform((15, 12), (WIDTH - 15, HEIGHT - 12)), draws.uniform(0, 2 * np.pi)
    color = int(draws.uniform(45, 90))
    for _ in range(draws.integers(5, 9)):
        angle += draws.normal(0, 0.9)
        to = at + draws.uniform(4, 8) * np.array([np.cos(angle), np.sin(angle)])
        pen.line([*at, *to], fill=color, width=2)
        at = to


def main(folder: Path) -> None:
    """Write all pictures."""
    draws = np.random.default_rng(23)
    for split, counts in COUNTS.items():
        for name, count in counts.items():
            into = folder / split / name
            into.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                plate(draws, cracked=name == "cracked").save(into / f"{number:04}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
