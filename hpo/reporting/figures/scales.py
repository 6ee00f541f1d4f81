"""Matplotlib axes for hyperparameters: log scales as in the search, choices by name."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from hpo.config.fields import number_text
from hpo.reporting.figures.points import Axis

_MARGIN = 0.03
_LONGEST = 60
"""Choices with more characters in total are slanted."""
_GOLDEN = 0.6180339887


def set_x(axes: Axes, axis: Axis) -> None:
    """Set up x as the hyperparameter's axis over its whole range."""
    axes.set_xlabel(axis.label)
    if axis.choices:
        axes.set_xlim(-0.6, len(axis.choices) - 0.4)
        slanted = sum(map(len, axis.choices)) > _LONGEST or len(axis.choices) > 6
        axes.set_xticks(
            range(len(axis.choices)),
            axis.choices,
            rotation=35 if slanted else 0,
            ha="right" if slanted else "center",
            rotation_mode="anchor",
        )
        axes.grid(False, axis="x")
        return
    if axis.log:
        margin = (axis.high / axis.low) ** _MARGIN
        axes.set_xscale("log")
        axes.set_xlim(axis.low / margin, axis.high * margin)
        axes.xaxis.set_major_locator(LogLocator(numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        margin = (axis.high - axis.low) * _MARGIN
        axes.set_xlim(axis.low - margin, axis.high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))


def x_of(axis: Axis, value: object, trial: int) -> float | None:
    """Return a value's position on x; trials with one choice are spread a little, reproducibly."""
    position = axis.position(value)
    if position is None:
        return None
    if axis.choices:
        return position * len(axis.choices) - 0.5 + spread(trial) * 0.5
    return float(value)  # type: ignore[arg-type]


def spread(trial: int) -> float:
    """Return a pseudo-random number in [-0.5, 0.5] that depends on the trial's number only."""
    return math.modf(trial * _GOLDEN)[0] - 0.5


def set_epochs(axes: Axes, last: int) -> None:
    """Set up x as epochs from 0 (before training) to ``last``."""
    axes.set_xlabel("epoch")
    axes.set_xlim(0, max(1, last) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))


def plain_log(axes: Axes) -> None:
    """Set up y as a log scale with numbers as in study files, and ticks even within one decade."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))
    low, high = axes.get_ylim()
    if len([tick for tick in axes.yaxis.get_major_locator()() if low <= tick <= high]) < 2:
        marks = [step * 10**power for power in range(-12, 12) for step in (1, 2, 5)]
        axes.yaxis.set_major_locator(FixedLocator([mark for mark in marks if low <= mark <= high]))
