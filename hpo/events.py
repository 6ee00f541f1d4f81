"""What a run tells whoever watches it: small frozen records, in the order in which things happen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from hpo.records import EpochResult


@dataclass(frozen=True)
class StudyReady:
    """The study is registered, its data are there, and the workers are about to start."""

    study: str
    dataset: str
    origin: str
    trials_done: int
    trials_total: int
    workers: int
    threads_per_worker: int
    device: str
    precision: str
    reclaimed: int = 0
    """Slots taken back from workers of this host that died."""
    costs: tuple[tuple[int, float], ...] = ()
    """(trials, cost of each) stage after stage; the cost is in passes over all training images."""


@dataclass(frozen=True)
class TrialStarted:
    """A worker begins (or goes on with) a trial."""

    worker: str
    number: int
    slot: int
    configuration: dict[str, Any]
    """The searched hyperparameters only."""
    epochs: int
    resumed: bool = False


@dataclass(frozen=True)
class EpochDone:
    """A trial completed an epoch."""

    worker: str
    number: int
    epochs: int
    """How many the trial is to train."""
    result: EpochResult


@dataclass(frozen=True)
class FindingMade:
    """A check found something in a trial under way; ``severity`` is note, warn or fatal."""

    worker: str
    number: int
    severity: str
    check: str
    message: str


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over; ``state`` is complete, pruned or failed."""

    worker: str
    number: int
    state: str
    value: float | None
    verdict: str
    seconds: float


@dataclass(frozen=True)
class TrialPaused:
    """A trial waits at a rung until it is among the best there; ``reason`` says where it stands."""

    worker: str
    number: int
    reason: str


@dataclass(frozen=True)
class Stopping:
    """The run was asked to stop; its workers go on to a safe point and give their trials back."""

    signum: int
    """0 if `hpo stop` did."""


@dataclass(frozen=True)
class WorkerLost:
    """A worker process ended that should not have."""

    worker: str
    message: str


@dataclass(frozen=True)
class ClusterJoined:
    """A Ray cluster is there whose nodes can serve the study."""

    hosts: tuple[str, ...]
    workers: int
    each: str
    """What a worker holds of a node, in words."""
    idle_gpus: int
    """GPUs of the cluster where no worker was to have any."""


@dataclass(frozen=True)
class WorkersWaiting:
    """Workers of a cluster have waited for some seconds for a node that has room for them."""

    waiting: int
    workers: int
    """Of all, those that wait too."""


@dataclass(frozen=True)
class DatabaseAway:
    """A worker has had no answer from the database for some seconds; it trains on, and tries again."""

    worker: str


@dataclass(frozen=True)
class DatabaseBack:
    """The database answers that worker again."""

    worker: str


@dataclass(frozen=True)
class DatabaseRetried:
    """A worker of a service tries a transaction again, since the database is away or busy."""

    worker: str


@dataclass(frozen=True)
class LeaseLost:
    """A worker could not renew its lease of a slot in time, or hung: another one goes on with the trial."""

    worker: str
    slot: int


@dataclass(frozen=True)
class WorkerReady:
    """A worker process of a service has its libraries and its device, and looks for studies."""

    worker: str
    device: str
    threads: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class StudyTaken:
    """A worker turns to a study: its trials from now on are of it."""

    worker: str
    study: str


@dataclass(frozen=True)
class StudyOver:
    """A worker has found that every trial of the study is over."""

    worker: str
    study: str


@dataclass(frozen=True)
class StudySkipped:
    """A worker passes over a study that it cannot serve; it looks again later."""

    worker: str
    study: str
    reason: str


Event: TypeAlias = (
    StudyReady
    | WorkerReady
    | StudyTaken
    | StudyOver
    | StudySkipped
    | TrialStarted
    | EpochDone
    | FindingMade
    | TrialEnded
    | TrialPaused
    | Stopping
    | WorkerLost
    | ClusterJoined
    | WorkersWaiting
    | DatabaseAway
    | DatabaseBack
    | DatabaseRetried
    | LeaseLost
)


def as_dict(event: Event) -> dict[str, Any]:
    """Return an event's fields, as JSON has them: the numbers of an epoch lie beside the others."""
    values = asdict(event)
    result: dict[str, Any] = values.pop("result", {})
    return values | result


@dataclass(frozen=True)
class RunSummary:
    """How a run ended."""

    study: str
    finished: int
    """Trials of the study that are over, whoever ran them."""
    total: int
    interrupted: bool
    seconds: float
    exit_code: int
    """0 if every trial is over, 130 or 143 after a signal, 1 otherwise."""
    stopped: bool = False
    """Whether `hpo stop` ended it."""
    problems: list[str] = field(default_factory=list)
    """What went wrong with workers; empty if all is well."""
