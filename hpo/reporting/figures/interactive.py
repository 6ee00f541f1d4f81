"""Interactive plots for optuna-dashboard, which draws them with plotly.js.

Numbers are lists: plotly serializes arrays in a form that older versions of plotly.js cannot read.
"""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from hpo.checks.causes import HEALTHY
from hpo.config.objective import Objective
from hpo.queries.tradeoffs import Tradeoffs
from hpo.queries.trial import TrialDetail
from hpo.reporting.figures.activations import layer_color
from hpo.reporting.figures.points import Axis, Point, StudyPicture
from hpo.reporting.figures.scales import spread
from hpo.reporting.figures.style import LIGHT, cause_label, plotly_marker
from hpo.reporting.figures.tradeoffs import is_log

_ALPHA = 0.7


def curves_plot(picture: StudyPicture) -> go.Figure:
    """Plot every trial's objective by epoch; the legend shows and hides causes."""
    figure = go.Figure()
    for cause in picture.causes:
        drawn = [point for point in picture.of(cause) if point.curve]
        xs, ys, tips = _joined(drawn)
        name = f"{cause_label(cause)} ({picture.count(cause)})"
        figure.add_scatter(
            x=xs, y=ys, text=tips, mode="lines", name=name, legendgroup=cause, showlegend=False,
            hovertemplate="%{text}<br>epoch %{x}: %{y:.4f}<extra></extra>", connectgaps=False,
            opacity=_ALPHA,
            line={"color": LIGHT.of(cause), "width": 2 if cause == HEALTHY else 1.5},
        )  # fmt: skip
        # A marker per epoch would add thousands of elements to the page.
        figure.add_scatter(
            x=[point.curve[-1][0] for point in drawn], y=[round(point.curve[-1][1], 5) for point in drawn],
            mode="markers", name=name, legendgroup=cause, opacity=_ALPHA, hoverinfo="skip",
            marker={"color": LIGHT.of(cause), "symbol": plotly_marker(cause), "size": 6},
        )  # fmt: skip
    figure.update_layout(**_layout(f"{picture.study}: curves by verdict"))
    figure.update_xaxes(title="epoch", rangemode="tozero")
    figure.update_yaxes(title=picture.objective)
    return figure


def failures_plot(picture: StudyPicture, axis: Axis) -> go.Figure:
    """Plot the trials of each cause along one hyperparameter."""
    figure = go.Figure()
    names = [f"{cause_label(cause)} ({picture.count(cause)})" for cause in picture.causes]
    for row, (cause, name) in enumerate(zip(picture.causes, names, strict=True)):
        there = [
            point for point in picture.of(cause) if axis.position(point.values.get(axis.name)) is not None
        ]
        figure.add_scatter(
            x=[point.values[axis.name] for point in there],
            y=[row + 0.4 * spread(point.number) for point in there],
            text=[_tip(point, picture.goal) for point in there],
            hovertemplate="%{text}<extra></extra>", mode="markers", name=name,
            opacity=_ALPHA, cliponaxis=False,
            marker={"color": LIGHT.of(cause), "symbol": plotly_marker(cause), "size": 9},
        )  # fmt: skip
    figure.update_layout(**_layout(f"{picture.study}: verdicts by {axis.name}"), showlegend=False)
    figure.update_xaxes(title=axis.label, **_scale(axis))
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.4, -0.6], automargin=True
    )
    return figure


def tradeoffs_plot(study: str, found: Tradeoffs, goal: Objective) -> go.Figure:
    """Plot each trial's value against its amount of the second objective, and the front as steps."""
    figure = go.Figure()
    others = [each for each in found.points if not each.on_front]
    for name, points in (("other trials", others), ("the front", found.front)):
        is_front = name == "the front"
        figure.add_scatter(
            x=[each.amount for each in points], y=[round(each.value, 5) for each in points], name=name,
            text=[f"trial {each.number}" for each in points], mode="lines+markers" if is_front else "markers",
            hovertemplate="%{text}<br>%{x}<br>%{y}<extra></extra>",
            line={"color": LIGHT.of(HEALTHY), "shape": "hv"},
            marker={"color": LIGHT.of(HEALTHY) if is_front else LIGHT.muted, "size": 9 if is_front else 7},
        )  # fmt: skip
    figure.update_layout(**_layout(f"{study}: trade-offs"))
    figure.update_xaxes(title=found.of.label, type="log" if is_log(found) else "linear")
    figure.update_yaxes(title=goal.label)
    return figure


def layers_plot(trial: TrialDetail) -> go.Figure:
    """Plot the update ratio of each layer over the steps; the lecture expects about 1e-3."""
    figure = go.Figure()
    names = list(dict.fromkeys(layer.name for layer in trial.layers))
    for place, name in enumerate(names):
        seen = [(each.step, each.update_ratio) for each in trial.layers if each.name == name]
        drawn = [
            (step, ratio) for step, ratio in seen if ratio is not None and math.isfinite(ratio) and ratio > 0
        ]
        figure.add_scatter(
            x=[step for step, _ in drawn], y=[ratio for _, ratio in drawn], name=name, mode="lines+markers",
            line={"color": layer_color(place, len(names))}, marker={"size": 5},
        )  # fmt: skip
    figure.add_hline(y=1e-3, line={"color": LIGHT.muted, "dash": "dot", "width": 1})
    figure.update_layout(**_layout(f"{trial.study}: layers of trial {trial.number}"))
    figure.update_xaxes(title="step")
    figure.update_yaxes(title="size of update / size of weights", type="log", exponentformat="power")
    return figure


def _joined(points: list[Point]) -> tuple[list[float | None], list[float | None], list[str]]:
    """Join all curves into one line with gaps: a trace per trial would make the page slow."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    tips: list[str] = []
    for point in points:
        xs += [*(epoch for epoch, _ in point.curve), None]
        ys += [*(round(value, 5) for _, value in point.curve), None]
        tips += [f"trial {point.number}"] * (len(point.curve) + 1)
    return xs, ys, tips


def _tip(point: Point, goal: Objective) -> str:
    escaped = point.tip(goal).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("\n", "<br>")


def _scale(axis: Axis) -> dict[str, Any]:
    if axis.choices:
        return {"type": "category", "categoryorder": "array", "categoryarray": list(axis.choices)}
    if axis.log:
        return {
            "type": "log",
            "range": [math.log10(axis.low), math.log10(axis.high)],
            "dtick": 1,
            "exponentformat": "power",
        }
    return {"range": [axis.low, axis.high]}


def _layout(title: str) -> dict[str, Any]:
    """Return a layout with a transparent background: the page may be dark."""
    return {
        "title": {"text": title.replace("&", "&amp;").replace("<", "&lt;"), "font": {"size": 15}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": LIGHT.families["open"]},
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "template": "none",
        "xaxis": {"gridcolor": "rgba(128,128,128,0.2)", "zeroline": False},
        "yaxis": {"gridcolor": "rgba(128,128,128,0.2)", "zeroline": False},
    }
