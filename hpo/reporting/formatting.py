"""Numbers, durations and short sentences as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.config.fields import setting as setting
from hpo.queries.stages import StagesStatus
from hpo.reporting import formatting

# Names and messages may come from anyone's database; control characters could rewrite a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BARS = "▁▂▃▄▅▆▇█"


def printable(text: str) -> str:
    """The text without control characters, which are written as ``\\x1b``."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def sparkline(values: Sequence[float], low: float, high: float, width: int = 20) -> str:
    """The values as bars between ``low`` and ``high``; ``!`` for what is not finite.

    If there are more than ``width``, the last of each stretch stands for it.
    """
    count = min(width, len(values))
    kept = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    span = high - low or 1.0
    return "".join(_bar((value - low) / span) for value in kept)


def _bar(share: float) -> str:
    if not math.isfinite(share):
        return "!"
    return _BARS[min(len(_BARS) - 1, max(0, int(share * len(_BARS))))]


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(number: int, noun: str) -> str:
    """``1 trial``, ``1,200 trials``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def loss(value: float | None) -> str:
    """A loss in nats: ``2.303``, ``1.2e+08``, ``nan``."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.1e}"


def accuracy(value: float | None) -> str:
    """An accuracy in [0, 1] with as many digits as 10,000 images give it."""
    return "–" if value is None else f"{value:.4f}"


def settings(values: Mapping[str, Any]) -> str:
    """Hyperparameters in a line: ``lr 0.013, activation relu``."""
    return ", ".join(f"{name} {setting(value)}" for name, value in values.items())


def test_lines(found: StagesStatus) -> list[str]:
    """What the test images said, and a warning if they were looked at more than once."""
    lines = [
        f"test accuracy {formatting.accuracy(look.test_value)} (trial {look.number})" for look in found.looks
    ]
    if len(found.looks) > 1:
        lines.append(
            f"warning: this study has looked at the test images {len(found.looks)} times; only the first "
            "value is an honest one: choosing among more of them would choose the luckiest"
        )
    return lines
