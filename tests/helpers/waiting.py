"""Wait for a condition, with a deadline that names it."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], bool],
    what: str = "",
    *,
    seconds: float = 120.0,
    every: float = 0.02,
    details: Callable[[], str] = str,
) -> None:
    """Return once the condition holds; fail with ``what`` and the details after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        name = what or getattr(condition, "__qualname__", repr(condition))
        assert time.monotonic() < deadline, f"{name} did not happen within {seconds:g} s\n{details()}"
        time.sleep(every)
