"""What a worker and its trainer process tell each other: lines of JSON, ``[type, fields]``; no pickle.

The worker sends ``Load`` once and ``Begin`` for each trial. The process answers ``Restored``, then reports;
after ``Epoch``, ``Found`` and ``AskPruner`` it waits for ``Continue`` or ``End``. ``Done``,
``TrainingFailed``, ``Pruned`` or ``Left`` is the last message of a trial.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeAlias, get_args

from pydantic import TypeAdapter

from hpo.checks.preflight import Snapshot
from hpo.records import EpochResult, Finding

BLOCK = 1 << 16


@dataclass(frozen=True)
class Load:
    """Import the trainer."""

    trainer: str
    """``package.module:function``."""
    path: list[str]
    """Python's module search path."""
    threads: int
    """For PyTorch."""


@dataclass(frozen=True)
class Past:
    """A trial that has ended, for a training that draws its parameters itself."""

    number: int
    outcome: Literal["complete", "pruned", "failed"]
    value: float | None
    reported: dict[int, float]
    """The last value that it has reported, by the number of the report."""
    parameters: dict[str, tuple[float, str]]
    """By name, Optuna's internal value and its distribution as JSON."""


@dataclass(frozen=True)
class OptunaSearch:
    """How a training draws its parameters, with Optuna's interface."""

    study_uid: str
    sampler: str
    options: dict[str, Any]
    """Of the sampler."""
    prunes: bool
    """Whether the study has a pruner."""
    past: list[Past]
    """The trials that have ended since this process was last told."""


@dataclass(frozen=True)
class Begin:
    """Train a trial."""

    number: int
    study: str
    stage: str
    parameters: dict[str, Any]
    seed: int
    """With ``path``, the key of everything random in the trial."""
    path: tuple[str | int, ...]
    budget: int | None
    data_share: float
    fold: int
    folds: int
    device: str
    objective: str
    direction: Literal["maximize", "minimize"]
    keeps_best: bool
    resumes: bool
    """Whether an earlier worker has begun the trial."""
    recorded: int
    """Epochs that are recorded."""
    checkpoints: str
    """The folder of its checkpoints."""
    token: int
    checkpoint_seconds: float
    artifacts: str
    """The folder of its artifacts."""
    minutes: float | None
    checks: dict[str, Any]
    """The thresholds of the checks."""
    optuna: OptunaSearch | None
    """None: ``parameters`` are all."""


@dataclass(frozen=True)
class Continue:
    """Continue the training; after ``AskPruner``, ``prunes`` is the answer."""

    prunes: bool = False


@dataclass(frozen=True)
class End:
    """Leave the trial: a pruner or a check has ended it."""

    reason: str


@dataclass(frozen=True)
class Stop:
    """Save the trial and leave it: this worker must stop."""


@dataclass(frozen=True)
class Found:
    """What the checks have found that the worker does not know yet."""

    findings: list[Finding] = field(default_factory=list)
    layers: list[Snapshot] = field(default_factory=list)


@dataclass(frozen=True)
class Restored:
    """What the trial resumes from; no ``steps`` if it starts from scratch."""

    steps: int | None
    """Over all epochs."""
    within: bool
    """Whether an epoch has begun."""
    curve: list[EpochResult]
    found: Found
    seconds: float
    """Training time so far."""
    refused: list[tuple[int, str]]
    """Step and flaw of checkpoints that cannot be used."""


@dataclass(frozen=True)
class Epoch:
    """An epoch has ended, and is saved."""

    result: EpochResult
    steps: int
    found: Found


@dataclass(frozen=True)
class Alive:
    """The training makes progress."""


@dataclass(frozen=True)
class TrialNote:
    """A note on the trial."""

    about: str
    message: str


@dataclass(frozen=True)
class Suggested:
    """The training has drawn a parameter."""

    name: str
    value: float
    """In Optuna's internal form."""
    distribution: str
    """As JSON."""


@dataclass(frozen=True)
class Attribute:
    """The training has set a user attribute of Optuna's trial."""

    name: str
    value: Any


@dataclass(frozen=True)
class AskPruner:
    """Ask whether the pruner ends the trial after its last report."""


@dataclass(frozen=True)
class Leftover:
    """What a trial has left in the process, which decides whether the process is used again."""

    threads: int = 0
    """Threads that still run."""
    changed: bool = False
    """Whether it has changed what cannot be set back."""


@dataclass(frozen=True)
class Done:
    """The training has returned."""

    value: float | None = None
    found: Found = field(default_factory=Found)
    best: str | None = None
    """The file with the states of the best epoch; a file of the same name, ``.json``, describes them."""
    weights_hash: str | None = None
    parameters: int | None = None
    unsaved: str = ""
    """Why not every checkpoint was written."""
    leftover: Leftover = field(default_factory=Leftover)


@dataclass(frozen=True)
class TrainingFailed:
    """The training, or its import, has raised an error."""

    cause: str
    """A key of ``CAUSES``."""
    message: str
    trace: str
    """The traceback of the user's code."""
    found: Found
    leftover: Leftover


@dataclass(frozen=True)
class Pruned:
    """The training has ended itself early, by ``optuna.TrialPruned``."""

    found: Found
    leftover: Leftover


@dataclass(frozen=True)
class Left:
    """The training has left the trial, as the worker asked."""

    leftover: Leftover


ToTrainer: TypeAlias = Load | Begin | Continue | End | Stop
Ended: TypeAlias = Done | TrainingFailed | Pruned | Left
"""The last messages of a trial."""
ToWorker: TypeAlias = Restored | Epoch | Found | Alive | TrialNote | Suggested | Attribute | AskPruner | Ended
Message: TypeAlias = ToTrainer | ToWorker
_TYPES = {each.__name__: each for each in get_args(Message)}


@cache
def _adapter(name: str) -> TypeAdapter[Message]:
    return TypeAdapter(_TYPES[name])


def encode(message: Message) -> bytes:
    """Return the message as a line."""
    name = type(message).__name__
    return json.dumps([name, _adapter(name).dump_python(message)]).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line."""
    name, fields = json.loads(line)
    return _adapter(name).validate_python(fields)


class Channel:
    """One end of the connection between a worker and its trainer process."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self._connection.fileno()

    def send(self, message: Message) -> None:
        """Send a message. Raises ``OSError`` if the other side is gone."""
        self._connection.sendall(encode(message))

    def receive(self) -> Message:
        """Wait for a message. Raises ``EOFError`` if the other side is gone."""
        while b"\n" not in self._received:
            try:
                block = self._connection.recv(BLOCK)
            except ConnectionError:
                block = b""
            if not block:
                raise EOFError
            self._received += block
        line, _, rest = self._received.partition(b"\n")
        self._received = rest
        return decode(bytes(line))

    def waiting(self) -> bool:
        """Whether ``receive`` has a message at once, or the other side is gone."""
        if b"\n" in self._received:
            return True
        self._connection.setblocking(False)
        try:
            return self._connection.recv(1, socket.MSG_PEEK) is not None
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self._connection.setblocking(True)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
