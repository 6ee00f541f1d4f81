"""Draw grid_and_random.png: why random search finds more than a grid, on recorded trainings.

After figure 1 of Bergstra and Bengio, JMLR 13 (2012), as in CS231n, lecture 6. The curves beside the squares
are real: the accuracy that good trials of `benchmarks/learning_curves.csv.gz` reach at a learning rate
(important) and at a weight decay (unimportant).

Usage: python docs/pictures/make_grid_and_random.py
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from search_replay.curves import Curves, load  # noqa: E402

LR, DECAY = ("lr", -4.0, 0.0), ("weight_decay", -6.0, -1.0)
SIDE = 3
"""Points along each side of the grid."""
BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito's color-blind safe palette


def reached(curves: Curves, name: str, places: np.ndarray, width: float = 0.35) -> np.ndarray:
    """Return the accuracy of the better quarter of the trials near each place (log10)."""
    at = np.log10([trial.values[name] for trial in curves.trials])
    best = np.array([trial.best for trial in curves.trials])
    order = np.argsort(best)
    weights = np.exp(-0.5 * ((places[:, None] - at[order]) / width) ** 2)
    below = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    return best[order][np.argmax(below >= 0.75, axis=1)]


def smooth(values: np.ndarray, width: int = 12) -> np.ndarray:
    """Smooth with a running mean, so that the curve shows the trend and not single trials."""
    padded = np.pad(values, width, mode="edge")
    return np.convolve(padded, np.ones(2 * width + 1) / (2 * width + 1), mode="valid")


def draw(figure: SubFigure, curves: Curves, points: np.ndarray, title: str, color: str) -> None:
    """Draw a square of points (n, 2) in [0, 1], with the curve of each hyperparameter along its side."""
    top, _, square, right = figure.subplots(
        2, 2, width_ratios=(3, 1), height_ratios=(1, 3), sharex="col", sharey="row"
    ).flat
    figure.suptitle(title, fontsize=12)
    figure.axes[1].set_axis_off()
    for axes, (name, low, high), places in ((top, LR, points[:, 0]), (right, DECAY, points[:, 1])):
        at = np.linspace(low, high, 200)
        level = smooth(reached(curves, name, at))
        marks = low + places * (high - low)
        heights = np.interp(marks, at, level)
        line, dots = ((at, level), (marks, heights)) if axes is top else ((level, at), (heights, marks))
        axes.plot(*line, color="0.4")
        axes.plot(*dots, "o", color=color, markersize=5, clip_on=False)
    square.plot(LR[1] + points[:, 0] * 4, DECAY[1] + points[:, 1] * 5, "o", color=color, markersize=8)
    for lr in np.unique(points[:, 0]):
        square.axvline(LR[1] + lr * 4, color=color, linewidth=0.6, alpha=0.5)
    _label(top, square, right, most=math.ceil(10 * max(trial.best for trial in curves.trials)) / 10)


def _label(top: Axes, square: Axes, right: Axes, most: float) -> None:
    square.set(xlim=LR[1:], ylim=DECAY[1:], xlabel="learning rate, log10 (important)")
    square.set_ylabel("weight decay, log10 (unimportant)")
    top.set(ylim=(0.0, most), ylabel="accuracy")
    right.set(xlim=(0.0, most), xlabel="accuracy")


def main() -> None:
    curves = load()
    steps = (np.arange(SIDE) + 0.5) / SIDE
    grid = np.array([(x, y) for x in steps for y in steps])
    generator = random.Random(4)
    drawn = np.array([(generator.random(), generator.random()) for _ in range(SIDE**2)])
    figure = plt.figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, wspace=0.05)
    draw(left, curves, grid, f"a grid: {SIDE**2} trials try {SIDE} learning rates", ORANGE)
    draw(right, curves, drawn, f"random: {SIDE**2} trials try {SIDE**2} learning rates", BLUE)
    figure.savefig(Path(__file__).with_name("grid_and_random.png"), dpi=110)


if __name__ == "__main__":
    main()
