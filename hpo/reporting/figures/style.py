"""What every picture shares: one colour for one thing, on light and on dark ground.

The hues are those of Okabe and Ito (Color Universal Design, 2008), moved apart until people with any kind of
colour blindness tell every two of them (the tests measure it). What shares a colour has markers of its own,
so that a picture can be read in grey too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpo.checks.causes import CAUSES, HEALTHY

RUNNING, STOPPED_EARLY = "running", "stopped_early"
"""What stands in the place of a cause: under way, and pruned though nothing was wrong with it."""


@dataclass(frozen=True)
class Family:
    """Causes that are alike, and their colour on light and on dark ground."""

    words: str
    light: str
    dark: str


FAMILIES: dict[str, Family] = {
    "healthy": Family("trained", "#0072b2", "#4fa9dd"),
    "hot": Family("steps too large", "#b83400", "#ea6a32"),
    "cold": Family("too little progress", "#2996fb", "#acd9ff"),
    "signal": Family("the signal is lost", "#a04a84", "#d58dbb"),
    "generalization": Family("learns the wrong thing", "#c98200", "#f6c43a"),
    "data": Family("the data", "#00a070", "#2fd6a0"),
    "code": Family("the program", "#2f353c", "#eef0f2"),
    "open": Family("not over, or stopped early", "#8793a3", "#707b87"),
}
"""Every group of causes by name."""

FAMILY_OF: dict[str, str] = {
    HEALTHY: "healthy",
    RUNNING: "open",
    STOPPED_EARLY: "open",
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
    "augmentation": "data",
    "labels_do_not_match": "data",
    "bad_labels": "data",
    "batch_composition": "data",
    "class_imbalance": "data",
    "input_scale": "data",
    "error": "code",
    "out_of_memory": "code",
    "worker_died": "code",
    "wrong_loss": "code",
    "softmax_twice": "code",
    "no_update": "code",
    "frozen_parameters": "code",
    "detached": "code",
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
)
"""Markers as matplotlib and as plotly call them."""


@dataclass(frozen=True)
class Theme:
    """The colours of one ground; ``train`` and ``valid`` are those of the two curves of a trial."""

    ink: str
    muted: str
    grid: str
    surface: str
    train: str
    valid: str
    alarm: str
    families: dict[str, str]

    def of(self, cause: str) -> str:
        """The colour of a cause."""
        return self.families[family(cause)]

    @property
    def variables(self) -> dict[str, str]:
        """Every colour by the name of its CSS variable."""
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
"""How matplotlib draws, whatever a user's own settings are."""


def colours_of(theme: Theme) -> dict[str, Any]:
    """The theme as matplotlib's settings."""
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
    """The group of a cause; one that is not known here is shown with what is not over."""
    return FAMILY_OF.get(cause, "open")


def cause_words(cause: str) -> str:
    """What a cause is called, as verdicts do."""
    if cause in CAUSES:
        return CAUSES[cause].label
    return cause.replace("_", " ")


def marker(cause: str) -> str:
    """The cause's marker, as matplotlib calls it."""
    return _MARKERS[_place(cause)][0]


def plotly_marker(cause: str) -> str:
    """The same for plotly."""
    return _MARKERS[_place(cause)][1]


def _place(cause: str) -> int:
    """Families begin with different markers, and the causes of one go on from there."""
    alike = [each for each, name in FAMILY_OF.items() if name == family(cause)]
    within = alike.index(cause) if cause in alike else len(alike)
    return (list(FAMILIES).index(family(cause)) + within) % len(_MARKERS)
