"""Static pictures of a whole study: curves by verdict, causes, slices, parallel coordinates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hpo.checks.causes import HEALTHY
from hpo.config.fields import number_text, setting
from hpo.config.objective import Objective
from hpo.reporting.figures.canvas import drawing
from hpo.reporting.figures.points import Axis, Point, StudyPicture
from hpo.reporting.figures.scales import set_epochs, set_x, spread, x_of
from hpo.reporting.figures.style import LIGHT, Theme, cause_label, marker

_ROW_INCHES = 0.34
_NOTHING = "no value"
"""The label of trials that were stopped or failed."""


def curves_by_verdict(picture: StudyPicture, theme: Theme = LIGHT) -> Figure:
    """Draw every trial's objective by epoch, in the color of its verdict."""
    with drawing(theme):
        figure = Figure(figsize=(8.2, 4.1), layout="constrained")
        axes = figure.add_subplot()
        last = max((epoch for point in picture.points for epoch, _ in point.curve), default=1)
        set_epochs(axes, last)
        axes.set_ylabel(picture.objective)
        best = picture.ranked[0].number if picture.ranked else None
        for cause in reversed(picture.causes):
            seen = [point for point in picture.of(cause) if point.curve]
            for point in seen:
                _curve(axes, theme, point, picture.goal, is_best=point.number == best)
            _marks(axes, theme, [(point, *point.curve[-1]) for point in seen], size=26)
        if picture.chance is not None:
            axes.axhline(picture.chance, color=theme.muted, linewidth=0.9, linestyle=(0, (2, 3)))
            axes.annotate(
                "guessing", (1, picture.chance), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                fontsize=8, color=theme.muted,
            )  # fmt: skip
        _legend(figure, theme, picture)
        return figure


def failures_over(picture: StudyPicture, axis: Axis, theme: Theme = LIGHT) -> Figure:
    """Draw the trials of each cause along one hyperparameter, healthy ones at the top."""
    causes = picture.causes
    with drawing(theme):
        figure = Figure(figsize=(8.2, 1.1 + _ROW_INCHES * len(causes)), layout="constrained")
        axes = figure.add_subplot()
        set_x(axes, axis)
        axes.set_ylim(len(causes) - 0.45, -0.55)
        labels = [f"{cause_label(cause)}  {picture.count(cause)}" for cause in causes]
        axes.set_yticks(range(len(causes)), labels, color=theme.ink)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for row, cause in enumerate(causes):
            there = [
                (point, x_of(axis, point.values.get(axis.name), point.number)) for point in picture.of(cause)
            ]
            placed = [(point, x, row + 0.45 * spread(point.number)) for point, x in there if x is not None]
            _marks(axes, theme, placed, size=34)
        return figure


def slice_of(picture: StudyPicture, axis: Axis, theme: Theme = LIGHT) -> Figure:
    """Draw the objective against one hyperparameter; trials without a value lie beyond the worst one."""
    with drawing(theme):
        figure = Figure(figsize=(4.0, 2.9), layout="constrained")
        axes = figure.add_subplot()
        set_x(axes, axis)
        values = [point.value for point in picture.points if point.value is not None]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        span = (high - low) or abs(high) or 1.0
        # The strip lies beyond the worst value.
        worst, best, sign = (low, high, -1) if picture.goal.sign > 0 else (high, low, 1)
        strip = worst + sign * 0.2 * span
        axes.set_ylim(*sorted((worst + sign * 0.33 * span, best - sign * 0.06 * span)))
        axes.set_ylabel(picture.objective)
        if any(point.value is None for point in picture.points):
            axes.axhline(worst + sign * 0.09 * span, color=theme.grid, linewidth=0.8)
            _name_strip(axes, strip, low, high)
        for cause in reversed(picture.causes):
            placed = []
            for point in picture.of(cause):
                x = x_of(axis, point.values.get(axis.name), point.number)
                y = strip + 0.12 * span * spread(3 * point.number) if point.value is None else point.value
                if x is not None:
                    placed.append((point, x, y))
            _marks(axes, theme, placed, size=30)
        return figure


def parallel(picture: StudyPicture, theme: Theme = LIGHT) -> Figure:
    """Draw every trial as a line across all hyperparameters to its value, the best ones bold and on top."""
    axes_list = picture.axes
    values = [point.value for point in picture.points if point.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    high = high if high > low else low + 1.0
    worst, best = (low, high) if picture.goal.sign > 0 else (high, low)
    outcome = Axis(picture.objective, worst, best)
    top = {point.number for point in picture.ranked[: max(3, len(picture.drawn) // 10)]}
    with drawing(theme):
        figure = Figure(figsize=(max(6.4, 1.35 * (len(axes_list) + 1)), 4.2), layout="constrained")
        axes = figure.add_subplot()
        _frame(axes, theme, (*axes_list, outcome))
        for point in sorted(picture.drawn, key=lambda point: (point.number in top, point.value is not None)):
            _line(axes, theme, point, (*axes_list, outcome), point.number in top)
        return figure


def failure_axis(picture: StudyPicture) -> Axis | None:
    """Return the axis along which failures are shown: the learning rate, else a log axis, else any."""
    numeric = [axis for axis in picture.axes if not axis.choices]
    order = sorted(numeric, key=lambda axis: (axis.name != "lr", not axis.log))
    return order[0] if order else (picture.axes[0] if picture.axes else None)


def _curve(axes: Axes, theme: Theme, point: Point, goal: Objective, is_best: bool) -> None:
    if not point.curve:
        return
    epochs, values = zip(*point.curve, strict=True)
    strong = point.cause == HEALTHY
    line = axes.plot(
        epochs,
        values,
        color=theme.of(point.cause),
        linewidth=3.0 if is_best else 1.5 if strong else 1.3,
        alpha=1.0 if is_best else 0.65,
        zorder=4 if is_best else 3 if strong else 2,
    )[0]
    line.set_url(f"#trial-{point.number}")
    if is_best:
        axes.annotate(
            f"trial {point.number}: {goal.text(goal.best(values))}", (epochs[-1], values[-1]), (-4, 7),
            textcoords="offset points",
            ha="right", va="bottom", fontweight="bold", color=theme.of(point.cause),
        )  # fmt: skip


def _marks(axes: Axes, theme: Theme, placed: Sequence[tuple[Point, float, float]], size: float) -> None:
    """Draw the marks of trials with one cause, each a link to its trial."""
    if not placed:
        return
    points, xs, ys = zip(*placed, strict=True)
    cause = points[0].cause
    dots = axes.scatter(
        xs, ys, s=size, marker=marker(cause), color=theme.of(cause), edgecolor=theme.surface, linewidth=0.6,
        alpha=0.9, zorder=5, clip_on=False,
    )  # fmt: skip
    dots.set_urls([f"#trial-{point.number}" for point in points])


def _legend(figure: Figure, theme: Theme, picture: StudyPicture) -> None:
    """Draw a legend: each cause's color, marker and number of trials, and how many have no curve."""
    unseen = Counter(point.cause for point in picture.drawn if not point.curve)
    handles, labels = [], []
    for cause in picture.causes:
        handles.append(
            Line2D([], [], color=theme.of(cause), marker=marker(cause), markersize=6, linewidth=1.6)
        )
        hidden = (
            f"\n{unseen[cause]} without a completed epoch" if unseen[cause] and not picture.remark else ""
        )
        labels.append(f"{cause_label(cause)}  {picture.count(cause)}{hidden}")
    figure.legend(handles, labels, loc="outside right upper", labelspacing=0.7)


def _name_strip(axes: Axes, strip: float, low: float, high: float) -> None:
    """Label the strip beside the values on the y axis."""
    bottom, top = axes.get_ylim()
    inside = (low - 1e-12, top) if strip < low else (bottom, high + 1e-12)
    ticks = [tick for tick in axes.get_yticks() if inside[0] <= tick <= inside[1]]
    axes.set_yticks([strip, *ticks], [_NOTHING, *(f"{tick:.3g}" for tick in ticks)])


def _frame(axes: Axes, theme: Theme, axes_list: tuple[Axis, ...]) -> None:
    """Draw a vertical axis for each hyperparameter, labeled with its ends or choices."""
    axes.set_axis_off()
    axes.set_xlim(-0.35, len(axes_list) - 0.5)
    axes.set_ylim(-0.16, 1.12)
    for x, axis in enumerate(axes_list):
        axes.plot([x, x], [0, 1], color=theme.muted, linewidth=1.0, zorder=1)
        axes.text(x, 1.07, axis.name, ha="center", va="bottom", color=theme.ink, fontweight="bold")
        for y, text in _ends(axis):
            axes.text(
                x + 0.04, y, text, ha="left", va="center", fontsize=8, color=theme.ink, zorder=6,
                bbox={"facecolor": theme.surface, "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
            )  # fmt: skip
    axes.text(
        len(axes_list) - 1 + 0.04, -0.12, _NOTHING, ha="left", va="center", fontsize=8, color=theme.muted
    )


def _ends(axis: Axis) -> list[tuple[float, str]]:
    if axis.choices:
        return [((place + 0.5) / len(axis.choices), text) for place, text in enumerate(axis.choices)]
    inner = 10 ** np.mean(np.log10([axis.low, axis.high])) if axis.log else (axis.low + axis.high) / 2
    return [(0.0, setting(axis.low)), (0.5, number_text(float(f"{inner:.2g}"))), (1.0, setting(axis.high))]


def _line(axes: Axes, theme: Theme, point: Point, axes_list: tuple[Axis, ...], is_top: bool) -> None:
    """Draw a trial's line: it skips hyperparameters that do not apply, and ends below without a value."""
    places: list[tuple[float, float]] = []
    for x, axis in enumerate(axes_list[:-1]):
        position = axis.position(point.values.get(axis.name))
        if position is not None:
            shift = 0.45 * spread(point.number) / len(axis.choices) if axis.choices else 0.0
            places.append((x, position + shift))
    end = -0.12 if point.value is None else axes_list[-1].position(point.value)
    places.append((len(axes_list) - 1, -0.12 if end is None else end))
    line = axes.plot(
        *zip(*places, strict=True), color=theme.of(point.cause), linewidth=2.6 if is_top else 1.0,
        alpha=0.95 if is_top else 0.35 if point.value is None else 0.5, zorder=5 if is_top else 3,
    )[0]  # fmt: skip
    line.set_url(f"#trial-{point.number}")
