"""Histograms of a trial's activations over its steps, a panel a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hpo.records import LayerStatistics
from hpo.reporting.figures.style import Theme
from hpo.text import printable

MOST_PANELS = 8
"""Of more layers, this many are drawn, evenly spaced from the first to the last."""
_LAYER_COLORS = "viridis"
"""Lightness shows the depth, also to color-blind readers: layers near the input are dark."""
_WIDEST = 0.92
"""The share of the distance to the next histogram."""
_SPREAD_LOG = 30.0
"""Ranges that differ by this factor are drawn on a symmetric log scale."""
_STEPS_LABELED = 4
_LABELS_A_SIDE = 3
_CLOSEST = 0.7
"""The minimum distance of a label from 0, as a share of the distance between labels."""
_LONGEST_NAME = 15
_MINUS = "\N{MINUS SIGN}"


def with_histograms(layers: Sequence[LayerStatistics]) -> list[LayerStatistics]:
    """Return the records that have a histogram of activations."""
    return [layer for layer in layers if layer.counts]


def draw_histograms(
    figure: Figure | SubFigure, theme: Theme, layers: Sequence[LayerStatistics], names: Sequence[str]
) -> None:
    """Draw histograms over the steps, a panel per layer. ``names``: all layers from the input on."""
    shown = _some(range(len(names)), MOST_PANELS)
    steps = sorted({layer.step for layer in layers})
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, place in zip(panels, shown, strict=True):
        mine = [layer for layer in layers if layer.name == names[place]]
        _draw(axes, theme, mine, steps, layer_color(place, len(names)))
        axes.set_title(_in_two(printable(short_name(names[place]))), fontsize=8)
    panels[0].set_ylabel("activation")
    figure.supxlabel(
        "step (width: square root of the share of activations)",
        fontsize=8,
        color=theme.muted,
    )


def layer_color(place: int, count: int) -> str:
    """Return the color of the ``place``-th of ``count`` layers from the input."""
    rgba: Any = mpl.colormaps[_LAYER_COLORS](0.08 + 0.78 * place / max(1, count - 1))
    return str(mpl.colors.to_hex(rgba))


def short_name(name: str) -> str:
    """Return the name without the suffix ``.conv`` that most layers have."""
    return name.removesuffix(".conv")


def _in_two(name: str) -> str:
    """Break a long name into two lines: panels are narrow."""
    start, dot, end = name.partition(".")
    return f"{start}{dot}\n{end}" if len(name) > _LONGEST_NAME and dot else name


def _draw(
    axes: Axes, theme: Theme, layers: Sequence[LayerStatistics], steps: Sequence[int], color: str
) -> None:
    for layer in layers:
        low, high, counts = layer.low, layer.high, layer.counts
        if not counts:
            continue
        base = steps.index(layer.step)
        if low == high:
            axes.plot([base, base + _WIDEST], [low, low], color=color, linewidth=1.6)
            continue
        edges = np.linspace(low, high, len(counts) + 1)
        widths = np.sqrt(np.array(counts) / max(counts)) * _WIDEST
        axes.stairs(
            base + widths,
            edges,
            baseline=base,
            orientation="horizontal",
            fill=True,
            color=color,
            linewidth=0,
        )
    _set_values(axes, layers)
    _set_steps(axes, steps)
    axes.axhline(0, color=theme.muted, linewidth=0.7, zorder=0)


def _set_values(axes: Axes, layers: Sequence[LayerStatistics]) -> None:
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="y", nbins=5)
    reach = [max(abs(layer.low), abs(layer.high)) for layer in layers]
    seen = [each for each in reach if each > 0]
    if seen and max(seen) > _SPREAD_LOG * min(seen):
        axes.set_yscale("symlog", linthresh=min(seen))
        axes.yaxis.set_major_locator(FixedLocator(symmetric_ticks(min(seen), max(seen))))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", _MINUS)))
        axes.yaxis.set_minor_locator(NullLocator())


def symmetric_ticks(linear: float, most: float) -> list[float]:
    """Return 0 and powers of ten up to ``most`` on both sides, spaced apart on a symmetric log scale.

    The scale is linear up to ``linear``, a range as wide as a decade.
    """
    top = math.floor(math.log10(most))
    zero = math.log10(linear) - 1
    apart = max(1, math.ceil((top - zero) / _LABELS_A_SIDE))
    exponents = [each for each in range(top, math.floor(zero), -apart) if each - zero >= _CLOSEST * apart]
    return [*(-(10.0**each) for each in exponents), 0.0, *(10.0**each for each in reversed(exponents))]


def _set_steps(axes: Axes, steps: Sequence[int]) -> None:
    axes.set_xlim(-0.15, len(steps))
    labeled = _some(range(len(steps)), _STEPS_LABELED)
    axes.set_xticks(labeled, [f"{steps[each]:,}" for each in labeled], rotation=35, ha="right")
    axes.grid(visible=False, axis="x")


def _some(places: Sequence[int], most: int) -> list[int]:
    """Return at most ``most`` of the places, evenly spaced from the first to the last."""
    if len(places) <= most:
        return list(places)
    return [places[round(each)] for each in np.linspace(0, len(places) - 1, most)]
