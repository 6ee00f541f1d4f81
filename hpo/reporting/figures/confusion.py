"""Picture of what a trial's best epoch predicts for each class: its confusion matrix, and recall by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.records import ClassResult
from hpo.reporting.figures.canvas import drawing
from hpo.reporting.figures.style import LIGHT, Theme
from hpo.text import printable

MOST_NAMED = 20
"""Classes whose cells have numbers and names; of more, those with the lowest recall have bars."""
_CELL, _LEAST, _SIDE = 0.42, 1.4, 5.0
"""Inches: a named class, the smallest and the largest side of the matrix."""
_LONGEST_NAME = 18
_ON_LIGHT, _ON_DARK = "#15171a", "#fdfdfd"
"""Numbers in cells, which have the same colors on a dark page: none of a theme's colors."""
_DARK = 0.55
"""Shares above it are on dark cells, whose numbers are white."""


def confusion_picture(classes: Sequence[ClassResult], theme: Theme = LIGHT) -> Figure:
    """Draw the shares of each class's images by predicted class, and the recall of each class."""
    are_named = len(classes) <= MOST_NAMED
    side = min(_SIDE, max(_LEAST, _CELL * len(classes))) if are_named else _SIDE
    with drawing(theme):
        # As high as wide, about: the bars are in line with the rows of the matrix.
        figure = Figure(figsize=(max(side, 2.6) + 5.2, side + 1.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(max(side, 2.6), 2.6))
        _draw_matrix(left, classes, are_named=are_named)
        _draw_recalls(right, theme, classes if are_named else _lowest(classes), are_all=are_named)
        return figure


def _shares(classes: Sequence[ClassResult]) -> NDArray[np.float64]:
    shares = np.zeros((len(classes), len(classes)))
    for each in classes:
        for label, count in each.predictions.items():
            shares[each.label, int(label)] = count / each.images
    return shares


def _lowest(classes: Sequence[ClassResult]) -> list[ClassResult]:
    known = [each for each in classes if each.images]
    return sorted(known, key=lambda each: (each.recall, each.label))[:MOST_NAMED]


def _draw_matrix(axes: Axes, classes: Sequence[ClassResult], *, are_named: bool) -> None:
    shares = _shares(classes)
    colors = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#0072b2"])
    # Small shares are visible, too: the errors are what is looked for.
    axes.imshow(np.sqrt(shares), cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    axes.set_title(f"predictions of epoch {classes[0].epoch}")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    places = range(len(classes))
    if not are_named:
        axes.set_xlabel(f"predicted class, 0 to {len(classes) - 1}")
        axes.set_ylabel(f"class, 0 to {len(classes) - 1}")
        return
    names = [_short(each.class_name) for each in classes]
    steep = any(len(name) > 3 for name in names) and len(classes) > 2
    axes.set_xticks(places, names, rotation=45 if steep else 0, ha="right" if steep else "center")
    axes.set_yticks(places, names)
    axes.tick_params(length=0)
    for row in places:
        for column in places:
            _draw_count(axes, (row, column), classes[row], shares[row, column])


def _draw_count(axes: Axes, place: tuple[int, int], row: ClassResult, share: float) -> None:
    count = row.predictions.get(str(place[1]), 0)
    if count:
        color = _ON_DARK if np.sqrt(share) > _DARK else _ON_LIGHT
        axes.text(place[1], place[0], f"{count:,.0f}", ha="center", va="center", fontsize=8, color=color)


def _draw_recalls(axes: Axes, theme: Theme, shown: Sequence[ClassResult], *, are_all: bool) -> None:
    rows = range(len(shown))
    recalls = [each.recall if each.images else 0.0 for each in shown]
    axes.barh(rows, recalls, height=0.62, color=theme.families["healthy"], alpha=0.85)
    title = "recall" if are_all else f"recall: the {len(shown)} lowest"
    axes.set_title(title)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(rows, [] if are_all else [_short(each.class_name) for each in shown])
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the class's images")
    for row, each in zip(rows, shown, strict=True):
        said = f"{each.recall:.2f}  ({each.correct:,} of {each.images:,})" if each.images else "no images"
        axes.text(1.03, row, said, va="center", fontsize=8, color=theme.muted, clip_on=False)


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
