"""Fault injection for tests: named points at which this process kills or stops itself on request.

``$HPO_FAULT="checkpoint.replace:2"`` sends SIGKILL to the process the second time that it reaches this point;
``"trial.finish:1:STOP"`` sends SIGSTOP, and so on. Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

VARIABLE = "HPO_FAULT"
POINTS = (
    *("worker.claim", "worker.claimed", "worker.release", "worker.released"),
    *("worker.advance", "worker.advanced"),
    *("trial.begin", "trial.drawn", "trial.begun"),
    *("trial.epoch", "trial.epoch_stored", "trial.finish", "trial.finished"),
    *("trial.judge", "trial.judged", "trial.pause", "trial.paused"),
    *("checkpoint.write", "checkpoint.fsync", "checkpoint.replace", "checkpoint.replaced"),
    *("kept.write", "kept.replace", "kept.replaced"),
)
"""All points: before something, and after it."""


@dataclass
class _Armed:
    point: str
    passes_left: int
    signum: signal.Signals


def _read(text: str | None) -> _Armed | None:
    """Parse the variable. Raises ``ValueError`` for an unknown point."""
    if not text:
        return None
    point, count, name = (*text.split(":"), "KILL")[:3]
    if point not in POINTS:
        raise ValueError(f"${VARIABLE}: unknown point {point!r}; known: {', '.join(POINTS)}")
    return _Armed(point, int(count), signal.Signals[f"SIG{name}"])


_armed = _read(os.environ.get(VARIABLE))


def arm(text: str | None) -> None:
    """Act as if ``$HPO_FAULT`` were ``text`` from now on."""
    global _armed
    _armed = _read(text)


def fault_point(name: str) -> None:
    """End or stop this process here if a test has armed this point."""
    if _armed is None or _armed.point != name:
        return
    _armed.passes_left -= 1
    if _armed.passes_left == 0:
        # To this thread: if another thread received a stop, it would take effect some statements later.
        signal.raise_signal(_armed.signum)
