"""A progress bar with the time left on stderr for slow steps; lines now and then if it is not a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from hpo.text import duration

LINE_SECONDS = 30.0
"""Between two lines of progress that are not on a terminal, as in a log."""


class _Lines:
    """Says now and then how far a step is, and how long the rest will take."""

    def __init__(self, what: str, total: int, say: Callable[[str], None]) -> None:
        self._what, self._total, self._say = what, total, say
        self._done = 0
        self._began = self._said = time.monotonic()

    def advance(self, steps: int) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._said < LINE_SECONDS or not 0 < self._done < self._total:
            return
        self._said = now
        left = (now - self._began) / self._done * (self._total - self._done)
        self._say(f"{self._what}: {self._done:,} of {self._total:,}, about {duration(left)} left")


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; yield a function that advances it by a number of steps out of ``total``."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        say = partial(console.print, markup=False, soft_wrap=True)
        say(f"{what} ...")
        yield _Lines(what, total, say).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what.replace("[", r"\["), total=total)
        yield lambda steps: bar.advance(task, steps)
