"""Format numbers, durations and short texts for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.config.fields import setting as setting
from hpo.config.objective import ACCURACY, Objective
from hpo.queries.stages import StagesStatus
from hpo.records import MEASURES, EpochResult
from hpo.text import counted as counted
from hpo.text import duration as duration

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What starts a formula in a spreadsheet, also in full width."""
_BARS = "▁▂▃▄▅▆▇█"


def spreadsheet_cell(value: Any) -> Any:
    """Return a value for a CSV file: a text that spreadsheets take for a formula gets a ``'`` before it.

    Numbers, also in words such as ``-0.5``, stay as they are. Source: OWASP, "CSV Injection".
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def sparkline(values: Sequence[float], low: float, high: float, width: int = 20) -> str:
    """Draw the values as bars between ``low`` and ``high``, with ``!`` for values that are not finite.

    Of more than ``width`` values, the last of each interval is drawn.
    """
    count = min(width, len(values))
    kept = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    span = high - low or 1.0
    return "".join(_bar((value - low) / span) for value in kept)


def metric_sparkline(
    values: Sequence[float], objective: Objective, width: int = 20
) -> tuple[str, float, float]:
    """Return the sparkline of a metric and its ends: 0 and 1 for accuracies, else its extremes."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    is_share = objective.is_accuracy and min(finite) >= 0 and max(finite) <= 1
    low, high = (0.0, 1.0) if is_share else (min(finite), max(finite))
    return sparkline(values, low, high, width), low, high


def metrics(result: EpochResult, objective: str = "val_accuracy") -> list[tuple[str, str]]:
    """Return the metrics of an epoch that were reported, each with its value as text.

    hpo's own training reports all that it has columns for, even numbers that are not finite; of those only
    the ``objective`` and the most usual ones are among them. The objective comes first, as its values print
    everywhere.
    """
    own = {objective: Objective(objective).text} if objective in MEASURES else {}
    known = {**own, "val_accuracy": accuracy, "val_loss": loss, "train_loss": loss, **own}
    values = {name: result.metric(name) for name in known}
    shown = [
        (name, known[name](value)) for name, value in values.items() if result.images or not math.isnan(value)
    ]
    return shown + [(name, Objective(name).text(value)) for name, value in result.metrics.items()]


def _bar(share: float) -> str:
    if not math.isfinite(share):
        return "!"
    return _BARS[min(len(_BARS) - 1, max(0, int(share * len(_BARS))))]


def loss(value: float | None) -> str:
    """Format a loss in nats: ``2.303``, ``1.2e+08``, ``4.0e-06``, ``nan``."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.1e}"


def accuracy(value: float | None) -> str:
    """Format an accuracy in [0, 1] with four digits, the resolution of 10,000 images."""
    return "–" if value is None else f"{value:.4f}"


def hyperparameters(values: Mapping[str, Any]) -> str:
    """List hyperparameters in a line: ``lr 0.013, activation relu``."""
    return ", ".join(f"{name} {setting(value)}" for name, value in values.items())


def evaluation_lines(status: StagesStatus, objective: Objective = ACCURACY) -> list[str]:
    """Return the result of each evaluation on the test images, and a warning if there are several."""
    lines = [
        f"{objective.test_label} {objective.text(look.test_value)} (trial {look.number})"
        for look in status.looks
    ]
    if len(status.looks) > 1:
        lines.append(
            "warning: this study was evaluated on the test images "
            f"{counted(len(status.looks), 'time')}; only the first "
            "test result is unbiased, since choosing among several favors luck"
        )
    return lines
