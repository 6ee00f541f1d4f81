"""Pictures of one trial: its curves, and the health of its layers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpo.config.objective import BUILT_IN
from hpo.config.thresholds import Thresholds
from hpo.queries.trial import TrialDetail
from hpo.records import LATER_MEASURES, MEASURES, EpochResult, LayerStatistics
from hpo.reporting.figures.activations import (
    draw_histograms,
    layer_color,
    short_name,
    with_histograms,
)
from hpo.reporting.figures.canvas import drawing
from hpo.reporting.figures.scales import plain_log, set_epochs
from hpo.reporting.figures.style import LIGHT, Theme
from hpo.text import printable

_LOG_FROM = 20.0
"""A loss that spans more than this factor is drawn on a log scale."""
_HEALTHY_UPDATES = (1e-4, 1e-2)
"""The healthy ratio of updates to weights is about 1e-3 (CS231n, lecture 6)."""
_VERDICT_WIDTH, _VERDICT_LINES = 58, 3


def trial_curves(trial: TrialDetail, theme: Theme = LIGHT) -> Figure:
    """Draw training and validation loss and accuracy by epoch, the first loss, and the stop limit.

    An objective that is neither has a panel of its own; what was not reported has none.
    """
    with drawing(theme):
        panels = _panels(trial)
        figure = Figure(figsize=(8.2 if len(panels) < 3 else 10.4, 3.3), layout="constrained")
        last = max([trial.configuration.get("epochs") or 1, *(each.epoch for each in trial.curve)])
        for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            set_epochs(axes, last)
            draw(axes, theme, trial)
        return figure


def _panels(trial: TrialDetail) -> list[Callable[[Axes, Theme, TrialDetail], None]]:
    kinds = (("train_loss", "val_loss", _draw_losses), ("train_accuracy", "val_accuracy", _draw_accuracies))
    drawn = [
        draw
        for train, valid, draw in kinds
        if _is_ours(trial)
        or any(math.isfinite(each.metric(name)) for each in trial.curve for name in (train, valid))
    ]
    measured = any(math.isfinite(each.metric(name)) for each in trial.curve for name in LATER_MEASURES)
    by_class = [_draw_class_metrics] if measured else []
    own = [] if trial.objective in MEASURES else [_draw_objective]
    return [*drawn, *by_class, *own] or [_draw_objective]


def _is_ours(trial: TrialDetail) -> bool:
    """Whether hpo's own training trained it, as far as its curve tells."""
    return (trial.objective in BUILT_IN or trial.goal.is_users) and (
        not trial.curve or any(each.images for each in trial.curve)
    )


def _draw_objective(axes: Axes, theme: Theme, trial: TrialDetail) -> None:
    _title(axes, trial.goal.label, "")
    epochs, values = [each.epoch for each in trial.curve], [trial.goal.of(each) for each in trial.curve]
    axes.plot(epochs, values, color=theme.valid, marker="o", markersize=3.5, zorder=4)
    _mark_best(axes, theme, trial)


def _draw_class_metrics(axes: Axes, theme: Theme, trial: TrialDetail) -> None:
    _title(axes, "by class", "validation")
    axes.set_ylim(0, 1)
    epochs = [each.epoch for each in trial.curve]
    for name, label, color, dashes in (
        ("val_balanced_accuracy", "balanced accuracy", theme.valid, "solid"),
        ("val_macro_f1", "macro F1", theme.families["data"], (0, (5, 2))),
        ("val_auc", "AUC", theme.families["hot"], (0, (1, 1.5))),
    ):
        values = [each.metric(name) for each in trial.curve]
        if any(map(math.isfinite, values)):
            axes.plot(epochs, values, label=label, color=color, linestyle=dashes, marker="o", markersize=3)
    if trial.objective in LATER_MEASURES:
        _mark_best(axes, theme, trial)
    axes.legend(loc="lower right")


def _mark_best(axes: Axes, theme: Theme, trial: TrialDetail) -> None:
    best = next((each for each in trial.curve if each.epoch == trial.best_epoch), None)
    if best is None:
        return
    value = trial.goal.of(best)
    axes.plot([best.epoch], [value], marker="o", markersize=8, markerfacecolor="none",
              markeredgewidth=1.6, color=theme.valid, zorder=6, clip_on=False)  # fmt: skip
    axes.set_title(
        f"best {trial.goal.text(value)}, epoch {best.epoch}", loc="right", color=theme.valid, fontsize=9,
        fontweight="normal",
    )  # fmt: skip


def layer_health(trial: TrialDetail, theme: Theme = LIGHT) -> Figure:
    """Draw each layer's updates and activations over the steps, and its final dead and saturated shares.

    Histograms of the activations follow below, if there are any. Requires a trial with ``layers``.
    """
    names = list(dict.fromkeys(layer.name for layer in trial.layers))
    counted = with_histograms(trial.layers)
    heights = [3.4 + 0.1 * max(0, len(names) - 8), *([2.3] if counted else [])]
    with drawing(theme):
        figure = Figure(figsize=(10.4, sum(heights)), layout="constrained")
        above, *below = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        updates, spreads, shares = above.subplots(1, 3, width_ratios=(1, 1, 0.9))
        _over_steps(updates, trial.layers, names, "update_ratio")
        _title(updates, "updates", "size of update / size of weights")
        updates.axhspan(*_HEALTHY_UPDATES, color=theme.families["healthy"], alpha=0.12, linewidth=0, zorder=0)
        updates.axhline(1e-3, color=theme.families["healthy"], linewidth=0.9, linestyle=(0, (4, 3)))
        _over_steps(spreads, trial.layers, names, "std")
        _title(spreads, "activations", "standard deviation")
        _last_shares(shares, theme, trial.layers, names)
        for part in below:
            draw_histograms(part, theme, counted, names)
        return figure


def first_loss(trial: TrialDetail) -> float | None:
    """Return the loss before the first step (nats), from the check of it."""
    for finding in trial.findings:
        if finding.check == "initial_loss" and finding.value is not None and math.isfinite(finding.value):
            return finding.value
    return None


def stop_limit(trial: TrialDetail) -> float | None:
    """Return the loss (nats) at which this training is or was stopped."""
    for finding in trial.findings:
        if finding.check == "exploding_loss" and finding.threshold is not None:
            return finding.threshold
    first = first_loss(trial)
    return None if first is None else Thresholds().explosion_factor * first


def _draw_losses(axes: Axes, theme: Theme, trial: TrialDetail) -> None:
    _title(axes, "loss", "cross-entropy (nats)" if _is_ours(trial) else "")
    _pair(axes, theme, trial.curve, "train_loss", "val_loss")
    first, limit = first_loss(trial), stop_limit(trial)
    known = [each for record in trial.curve for each in (record.train_loss, record.val_loss)]
    finite = [loss for loss in known if math.isfinite(loss)]
    high = max([*finite, limit or 0.0, first or 0.0, 1.0]) * 1.12
    low = min([*finite, 0.0]) * 1.12  # the loss of a training of one's own may be negative
    axes.set_ylim(low, high)
    if finite and not low and high / max(min(finite), 1e-6) > _LOG_FROM:
        axes.set_ylim(max(min(finite), 1e-6) / 1.3, high * 1.2)
        plain_log(axes)
    if first is not None:
        axes.plot([0], [first], marker="o", markersize=5, color=theme.ink, clip_on=False, zorder=5)
        _level(axes, theme.muted, first, f"first loss {first:.3g}")
    if limit is not None:
        _level(axes, theme.alarm, limit, f"stop limit {limit:.3g}")
    if trial.objective == "val_loss":
        _mark_best(axes, theme, trial)
    if not trial.curve:
        _explain(axes, theme, trial)


def _draw_accuracies(axes: Axes, theme: Theme, trial: TrialDetail) -> None:
    reported = [each for record in trial.curve for each in (record.train_accuracy, record.val_accuracy)]
    high = max([each for each in reported if math.isfinite(each)], default=1.0)
    are_shares = high <= 1
    of = "images" if _is_ours(trial) else "examples"
    _title(axes, "accuracy", f"share of the {of}" if are_shares else "as reported")
    axes.set_ylim(0, 1 if are_shares else high * 1.05)
    _pair(axes, theme, trial.curve, "train_accuracy", "val_accuracy")
    if trial.objective == "val_accuracy":
        _mark_best(axes, theme, trial)
    if trial.curve:
        axes.legend(loc="lower right")


def _pair(axes: Axes, theme: Theme, curve: Sequence[EpochResult], train: str, valid: str) -> None:
    epochs = [record.epoch for record in curve]
    for name, label, color, dashes in (
        (train, "training", theme.train, (0, (5, 2))),
        (valid, "validation", theme.valid, "solid"),
    ):
        values = [getattr(record, name) for record in curve]
        axes.plot(
            epochs, values, label=label, color=color, linestyle=dashes, marker="o", markersize=3.5, zorder=4
        )


def _level(axes: Axes, color: str, value: float, text: str) -> None:
    axes.axhline(value, color=color, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    axes.annotate(
        text, (1, value), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
        va="bottom", fontsize=8, color=color,
    )  # fmt: skip


def _explain(axes: Axes, theme: Theme, trial: TrialDetail) -> None:
    """Explain why there is no curve."""
    lines = [
        "no completed epoch",
        *textwrap.wrap(
            printable(trial.verdict or ""), _VERDICT_WIDTH, max_lines=_VERDICT_LINES, placeholder=" …"
        ),
    ]
    axes.text(
        0.03, 0.05, "\n".join(lines), transform=axes.transAxes, va="bottom", color=theme.alarm, fontsize=8,
    )  # fmt: skip


def _title(axes: Axes, title: str, y_label: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(y_label)


def _over_steps(axes: Axes, layers: Sequence[LayerStatistics], names: Sequence[str], statistic: str) -> None:
    """Draw a line per layer by step, without zeros and non-finite values, which a log scale cannot show."""
    found = False
    for place, name in enumerate(names):
        seen = [(layer.step, getattr(layer, statistic)) for layer in layers if layer.name == name]
        drawn = [
            (step, value) for step, value in seen if value is not None and math.isfinite(value) and value > 0
        ]
        if drawn:
            found = True
            axes.plot(
                *zip(*drawn, strict=True), color=layer_color(place, len(names)), marker="o", markersize=3
            )
    axes.set_xlabel("step")
    if found:
        plain_log(axes)


def _last_shares(axes: Axes, theme: Theme, layers: Sequence[LayerStatistics], names: Sequence[str]) -> None:
    """Draw bars of the final dead and saturated shares; layers have the colors of their lines."""
    _title(axes, "final state", "")
    last = {layer.name: layer for layer in layers}
    rows = range(len(names))
    for shift, statistic, alpha in ((-0.19, "dead", 1.0), (0.19, "saturated", 0.45)):
        widths = [_share(getattr(last[name], statistic)) for name in names]
        axes.barh(
            [row + shift for row in rows], widths, height=0.36, color=theme.families["signal"], alpha=alpha,
            label=statistic,
        )  # fmt: skip
    axes.set_yticks(rows, [printable(short_name(name)) for name in names])
    for row in rows:
        axes.plot([-0.03], [row], marker="s", markersize=5, color=layer_color(row, len(names)), clip_on=False)
    axes.tick_params(axis="y", length=0, pad=13)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the layer")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.03, 1.0), ncols=2, fontsize=8, borderaxespad=0.2,
        handlelength=1.0, handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip


def _share(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 0.0
