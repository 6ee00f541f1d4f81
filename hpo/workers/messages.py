"""What every executor shares: the order that a worker gets, and how it reports."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hpo.errors import HpoError
from hpo.events import Event
from hpo.signals import StopRequestedError, StudyStoppedError

Emit: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True)
class Ready:
    """Who a worker is, and what it trains on, once it has looked."""

    worker: str
    device: str
    precision: str | None
    """Of the study; None where a worker serves several."""
    threads: int
    tags: frozenset[str]


@dataclass(frozen=True)
class WorkOrder:
    """Which studies a worker serves, and with what. Small and picklable: the rest is in the database."""

    storage_url: str
    studies: tuple[str, ...]
    """By name; none for every open study of the database."""
    device: str
    workers: int
    """How many workers share this machine's cores."""
    tags: frozenset[str] = frozenset()
    """What studies may need; ``gpu`` is added on one."""
    service: bool = False
    """Pass over a study that cannot be served; else it ends the worker."""
    waits: bool = False
    """Wait for more when every study is over."""
    threads: int | None = None
    """For PyTorch; None for this worker's share of the machine's cores."""


@dataclass(frozen=True)
class Failed:
    """A worker ended with an error that has words."""

    message: str
    exit_code: int


@dataclass(frozen=True)
class StoppedByUser:
    """A worker left because of `hpo stop`."""


Message: TypeAlias = Ready | Failed | StoppedByUser | Event
Say: TypeAlias = Callable[[Message], None]


def run_and_report(work: Callable[[], None], say: Say) -> int:
    """Do a worker's work, and say how it ended if not as planned; the process's exit code."""
    try:
        work()
    except StudyStoppedError:
        say(StoppedByUser())
    except StopRequestedError:
        pass
    except HpoError as error:
        traceback.print_exc()
        say(Failed(str(error), error.exit_code))
        return error.exit_code
    return 0
