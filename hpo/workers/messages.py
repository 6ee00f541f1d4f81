"""What a worker and its supervisor exchange, whether the worker is a local process or a Ray actor."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hpo.errors import HpoError
from hpo.events import Event
from hpo.signals import StopRequestedError, StudyStoppedError

Emit: TypeAlias = Callable[[Event], None]

STOP_SECONDS = 30.0
"""Time for workers to reach a safe point after a signal, before they are killed."""


@dataclass(frozen=True)
class WorkOrder:
    """Which studies a worker serves, and how. Small and picklable: everything else is in the database."""

    storage_url: str
    studies: tuple[str, ...]
    """Names; empty for every open study of the database."""
    device: str
    workers: int
    """Number of workers that share this machine's cores."""
    tags: frozenset[str] = frozenset()
    """Capabilities offered to studies with ``needs``; ``gpu`` is added on a GPU."""
    service: bool = False
    """Skip studies that cannot be served; otherwise they end the worker."""
    waits: bool = False
    """Wait for new studies when every study is over."""
    threads: int | None = None
    """Threads for PyTorch; None for this worker's share of the machine's cores."""


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its libraries and knows what it trains on."""

    worker: str
    device: str
    precision: str | None
    """The study's precision; None for a worker that serves several studies."""
    threads: int
    tags: frozenset[str]


@dataclass(frozen=True)
class Failed:
    """The worker ends because of an ``HpoError`` with this message."""

    message: str
    exit_code: int


@dataclass(frozen=True)
class StoppedByUser:
    """The worker ends because of `hpo stop`."""


Message: TypeAlias = Ready | Failed | StoppedByUser | Event
"""What a worker sends."""
Send: TypeAlias = Callable[[Message], None]


@dataclass(frozen=True)
class Exited:
    """The worker ended as planned; ``refused`` if it could not serve the study."""

    refused: bool = False


@dataclass(frozen=True)
class Crashed:
    """The worker's process died."""


@dataclass(frozen=True)
class Refused:
    """The worker cannot serve the study, although others may."""

    reason: str


Report: TypeAlias = Message | Exited | Crashed | Refused
"""What a pool reports of a worker: its own messages, and how it ended."""


@dataclass(frozen=True)
class CrashReport:
    """How a worker died, and the end of its output since its last trial ended."""

    message: str
    output: str
    cause: str = ""
    """Why its process ended, if that is known."""


def run_and_report(work: Callable[[], None], send: Send) -> int:
    """Run a worker's ``work``, report an early end, and return the exit code of its process."""
    try:
        work()
    except StudyStoppedError:
        send(StoppedByUser())
    except StopRequestedError:
        pass
    except HpoError as error:
        traceback.print_exc()
        send(Failed(str(error), error.exit_code))
        return error.exit_code
    return 0
