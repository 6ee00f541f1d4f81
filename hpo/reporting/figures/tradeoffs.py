"""Picture of the second objective: every trial, and the line of those that no other one beats in both."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from hpo.config.objective import Objective
from hpo.config.tradeoff import amount_text
from hpo.queries.tradeoffs import TradeoffPoint, Tradeoffs
from hpo.reporting.figures.canvas import drawing
from hpo.reporting.figures.style import LIGHT, Theme

_LOG_FROM = 5.0
"""Ratio of the largest to the smallest amount from which on the axis is logarithmic."""
_MOST_NAMED = 12


def tradeoffs_picture(found: Tradeoffs, goal: Objective, theme: Theme = LIGHT) -> Figure:
    """Draw each trial's value against its amount; the front as steps with the numbers of its trials."""
    with drawing(theme):
        figure = Figure(figsize=(8.2, 4.1), layout="constrained")
        axes = figure.add_subplot()
        front, others = found.front, [each for each in found.points if not each.on_front]
        color = theme.of("healthy")
        axes.scatter(
            [each.amount for each in others], [each.value for each in others],
            s=26, color=theme.muted, alpha=0.55, linewidths=0, label="other trials",
        )  # fmt: skip
        axes.step(
            [each.amount for each in front], [each.value for each in front], where="post",
            color=color, linewidth=1.4, zorder=3,
        )  # fmt: skip
        axes.scatter(
            [each.amount for each in front], [each.value for each in front],
            s=44, color=color, zorder=4, linewidths=0, label="the front",
        )  # fmt: skip
        _axes(axes, found, goal)
        for each in front[-_MOST_NAMED:]:
            _name(axes, theme, each, goal, is_right=found.of.lower_is_better)
        _limit(axes, theme, found)
        if others:
            figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
        return figure


def is_log(found: Tradeoffs) -> bool:
    """Return whether the amounts are so different that their axis is logarithmic."""
    amounts = [each.amount for each in found.points]
    return min(amounts, default=0.0) > 0 and max(amounts) > _LOG_FROM * min(amounts)


def _axes(axes: Axes, found: Tradeoffs, goal: Objective) -> None:
    axes.set_xlabel(found.of.label + (" (log scale)" if is_log(found) else ""))
    axes.set_ylabel(goal.label)
    if is_log(found):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda amount, _: amount_text(amount)))
    axes.margins(x=0.08, y=0.12)


def _name(axes: Axes, theme: Theme, each: TradeoffPoint, goal: Objective, *, is_right: bool) -> None:
    """Name a trial where the line of the front does not run: beyond it, towards the worse amounts."""
    up = 5 if goal.sign > 0 else -5
    axes.annotate(
        f"trial {each.number}", (each.amount, each.value), xytext=(-5 if is_right else 5, up),
        textcoords="offset points", ha="right" if is_right else "left",
        va="bottom" if goal.sign > 0 else "top", fontsize=8, color=theme.ink,
    )  # fmt: skip


def _limit(axes: Axes, theme: Theme, found: Tradeoffs) -> None:
    """Draw the limit on the quantity, if there is one and the trials come close to it."""
    amount = next((each.amount for each in found.limits if each.of == found.of), None)
    low, high = axes.get_xlim()
    if amount is None or not low / 3 <= amount <= high * 3:
        return
    axes.axvline(amount, color=theme.muted, linewidth=0.9, linestyle=(0, (2, 3)))
    axes.annotate(
        "limit", (amount, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points",
        ha="left", va="top", fontsize=8, color=theme.muted,
    )  # fmt: skip
