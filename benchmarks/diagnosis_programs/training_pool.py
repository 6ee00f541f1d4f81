"""Train a list of runs in processes of one thread each, with a progress bar; resume where it stopped."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hpo.training.device import prepare_process


class Work(Protocol):
    """Something to train in another process; picklable."""

    def path(self, folder: Path) -> Path:
        """Return the file that exists once it is done."""

    def train(self, folder: Path) -> None:
        """Train and write that file."""


def train_missing(work: Sequence[Work], folder: Path, *, jobs: int, minutes: float | None) -> int:
    """Train what has no recording yet, for at most ``minutes``; return how many recordings are missing."""
    missing = [each for each in work if not each.path(folder).exists()]
    ends = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    context = multiprocessing.get_context("spawn")
    with (
        Progress(*columns) as progress,
        ProcessPoolExecutor(jobs, mp_context=context, initializer=prepare_process, initargs=(1,)) as pool,
    ):
        bar = progress.add_task("training", total=len(work), completed=len(work) - len(missing))
        running: set[Future[None]] = set()
        waiting = iter(missing)
        while True:
            while len(running) < jobs and time.monotonic() < ends:
                following = next(waiting, None)
                if following is None:
                    break
                running.add(pool.submit(following.train, folder))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                progress.advance(bar)
    return sum(not each.path(folder).exists() for each in work)
