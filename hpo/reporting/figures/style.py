"""The style of all pictures: one color per family of causes, on light and dark backgrounds.

The hues are those of Okabe and Ito (Color Universal Design, 2008), moved apart until people with any kind of
color blindness can distinguish every pair (the tests measure it). Causes that share a color have different
markers, so that a picture is readable in gray, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpo.checks.causes import BEYOND_LIMIT, CAUSES, HEALTHY, NOT_CHECKED, NOT_ENOUGH, NOTHING_SEEN

RUNNING, STOPPED_EARLY = "running", "stopped_early"
"""Used in place of a cause: still running, and pruned although nothing was wrong."""


@dataclass(frozen=True)
class Family:
    """A group of similar causes, and its color on light and dark backgrounds."""

    label: str
    light: str
    dark: str


FAMILIES: dict[str, Family] = {
    "healthy": Family("trained", "#0072b2", "#4fa9dd"),
    "hot": Family("steps too large", "#b83400", "#ea6a32"),
    "cold": Family("too little progress", "#2996fb", "#acd9ff"),
    "signal": Family("signal lost", "#a04a84", "#d58dbb"),
    "generalization": Family("poor generalization", "#c98200", "#f6c43a"),
    "data": Family("data", "#00a070", "#2fd6a0"),
    "code": Family("program", "#2f353c", "#eef0f2"),
    "open": Family("running or ended early", "#8793a3", "#707b87"),
}
"""Every group of causes by name."""

FAMILY_OF: dict[str, str] = {
    HEALTHY: "healthy",
    NOTHING_SEEN: "open",
    NOT_ENOUGH: "open",
    NOT_CHECKED: "open",
    BEYOND_LIMIT: "open",
    RUNNING: "open",
    STOPPED_EARLY: "open",
    "time_limit": "open",
    "memory_limit": "open",
    "lr_too_high": "hot",
    "exploding_loss": "hot",
    "exploding_gradients": "hot",
    "momentum_too_high": "hot",
    "lr_too_low": "cold",
    "not_learning": "cold",
    "underfitting": "cold",
    "over_regularized": "cold",
    "schedule": "cold",
    "batch_size": "cold",
    "bad_init": "signal",
    "vanishing_gradients": "signal",
    "dead_units": "signal",
    "saturated_units": "signal",
    "symmetric_units": "signal",
    "ignores_input": "signal",
    "overfitting": "generalization",
    "train_val_mismatch": "generalization",
    "norm_statistics": "generalization",
    "validation_mode": "generalization",
    "validation_leak": "generalization",
    "augmentation": "data",
    "labels_do_not_match": "data",
    "bad_labels": "data",
    "batch_composition": "data",
    "class_imbalance": "data",
    "few_validation_images": "data",
    "label_leak": "data",
    "input_scale": "data",
    "error": "code",
    "out_of_memory": "code",
    "worker_died": "code",
    "wrong_loss": "code",
    "softmax_twice": "code",
    "no_update": "code",
    "frozen_parameters": "code",
    "detached": "code",
    "graph_kept": "code",
    "stale_gradients": "code",
    "eval_mode": "code",
    "wrong_gradient": "code",
}
"""The group of every cause."""

_MARKERS = (
    ("o", "circle"),
    ("^", "triangle-up"),
    ("v", "triangle-down"),
    ("D", "diamond"),
    ("s", "square"),
    ("X", "x"),
    ("P", "cross"),
    ("*", "star"),
    ("<", "triangle-left"),
    (">", "triangle-right"),
    ("p", "pentagon"),
    ("h", "hexagon"),
)
"""Markers by their names in Matplotlib and plotly."""


@dataclass(frozen=True)
class Theme:
    """The colors for one background; ``train`` and ``valid`` are those of a trial's two curves."""

    ink: str
    muted: str
    grid: str
    surface: str
    train: str
    valid: str
    alarm: str
    families: dict[str, str]

    def of(self, cause: str) -> str:
        """Return the color of a cause."""
        return self.families[family(cause)]

    @property
    def variables(self) -> dict[str, str]:
        """The colors by CSS variable name."""
        named = {
            name: getattr(self, name)
            for name in ("ink", "muted", "grid", "surface", "train", "valid", "alarm")
        }
        return {**named, **self.families}


LIGHT = Theme(
    ink="#1f2429",
    muted="#5f6872",
    grid="#e4e7eb",
    surface="#ffffff",
    train="#8a8a1f",
    valid="#332288",
    alarm="#b3261e",
    families={name: each.light for name, each in FAMILIES.items()},
)
DARK = Theme(
    ink="#e6e9ed",
    muted="#9aa4af",
    grid="#30363d",
    surface="#15181c",
    train="#cfcf63",
    valid="#a99bff",
    alarm="#ff8a80",
    families={name: each.dark for name, each in FAMILIES.items()},
)

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "hpo",
    "figure.dpi": 100,
}
"""Settings of Matplotlib, independent of the user's own."""


def colors_of(theme: Theme) -> dict[str, Any]:
    """Return the theme as Matplotlib settings."""
    return {
        "text.color": theme.ink,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.muted,
        "axes.titlecolor": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "grid.color": theme.grid,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
    }


def family(cause: str) -> str:
    """Return the family of a cause; an unknown cause is in the family ``open``."""
    return FAMILY_OF.get(cause, "open")


def cause_label(cause: str) -> str:
    """Return the name of a cause as in verdicts."""
    if cause in CAUSES:
        return CAUSES[cause].label
    return cause.replace("_", " ")


def marker(cause: str) -> str:
    """Return the cause's marker for Matplotlib."""
    return _MARKERS[_place(cause)][0]


def plotly_marker(cause: str) -> str:
    """Return the cause's marker for plotly."""
    return _MARKERS[_place(cause)][1]


def _place(cause: str) -> int:
    """Return a cause's marker: families start at different ones, and their causes continue from there."""
    alike = [each for each, name in FAMILY_OF.items() if name == family(cause)]
    within = alike.index(cause) if cause in alike else len(alike)
    return (list(FAMILIES).index(family(cause)) + within) % len(_MARKERS)
