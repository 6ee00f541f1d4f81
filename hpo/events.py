"""Events of a run: small frozen records, emitted in the order in which things happen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from hpo.records import EpochResult


@dataclass(frozen=True)
class StudyReady:
    """The study is registered, its data set is loaded, and its workers start training."""

    study: str
    dataset: str
    """Empty for the user's own training."""
    origin: str
    trials_done: int
    trials_total: int
    workers: int
    threads_per_worker: int
    device: str
    precision: str | None
    """None for the user's own training, which decides by itself."""
    reclaimed: int = 0
    """Number of slots that dead workers of this machine held; they are free again."""
    costs: tuple[tuple[int, float], ...] = ()
    """(number of trials, cost of each) per stage; the unit is one pass over all training images."""
    warnings: tuple[str, ...] = ()
    """What the user should know of the images."""
    objective: str = "val_accuracy"
    direction: Literal["maximize", "minimize"] = "maximize"


@dataclass(frozen=True)
class TrialStarted:
    """A worker starts or resumes a trial."""

    worker: str
    number: int
    slot: int
    configuration: dict[str, Any]
    """The searched hyperparameters only."""
    epochs: int
    """Of the trial in all; 0 if its training sets no number."""
    resumed: bool = False


@dataclass(frozen=True)
class EpochDone:
    """A trial completed an epoch."""

    worker: str
    number: int
    epochs: int
    """Of the trial in all; 0 if its training sets no number."""
    """How many the trial is to train."""
    result: EpochResult
    objective: str = "val_accuracy"
    """What the study optimizes."""


@dataclass(frozen=True)
class FindingMade:
    """A check found something in a running trial; ``severity`` is note, warn or fatal."""

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
    objective: str = "val_accuracy"
    """What ``value`` is."""


@dataclass(frozen=True)
class TrialPaused:
    """A trial waits at a rung until it is among the best there; ``reason`` gives its rank."""

    worker: str
    number: int
    reason: str


@dataclass(frozen=True)
class Stopping:
    """The run was asked to stop; its workers save and release their trials at a safe point."""

    signum: int
    """0 after `hpo stop`."""


@dataclass(frozen=True)
class WorkerLost:
    """A worker process ended unexpectedly."""

    worker: str
    message: str


@dataclass(frozen=True)
class ClusterJoined:
    """The run is connected to a Ray cluster that can serve the study."""

    hosts: tuple[str, ...]
    workers: int
    each: str
    """The resources of each worker, as text."""
    idle_gpus: int
    """GPUs of the cluster that no worker was asked to use."""


@dataclass(frozen=True)
class WorkersWaiting:
    """Workers have been waiting for some seconds for a node with room for them."""

    waiting: int
    workers: int
    """Number of all workers."""


@dataclass(frozen=True)
class DatabaseAway:
    """The database has not answered a worker for some seconds; the worker trains on and retries."""

    worker: str


@dataclass(frozen=True)
class DatabaseBack:
    """The database answers that worker again."""

    worker: str


@dataclass(frozen=True)
class DatabaseRetried:
    """A worker of a service retries a transaction, because the database is unreachable or busy."""

    worker: str


@dataclass(frozen=True)
class LeaseLost:
    """A worker hung, or could not renew its lease in time: another worker resumes the trial."""

    worker: str
    slot: int


@dataclass(frozen=True)
class WorkerReady:
    """A worker process of a service has loaded its libraries and looks for studies."""

    worker: str
    device: str
    threads: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class StudyTaken:
    """A worker switches to a study: its following events belong to that study."""

    worker: str
    study: str


@dataclass(frozen=True)
class StudyOver:
    """Every trial of the study is over."""

    worker: str
    study: str


@dataclass(frozen=True)
class StudySkipped:
    """A worker skips a study that it cannot serve; it retries later."""

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
    """Return an event's fields, as JSON has them: an epoch's numbers are on the same level."""
    values = asdict(event)
    result: dict[str, Any] = values.pop("result", {})
    return values | result


@dataclass(frozen=True)
class RunSummary:
    """How a run ended."""

    study: str
    finished: int
    """Number of the study's trials that are over, including those of earlier runs."""
    total: int
    interrupted: bool
    seconds: float
    exit_code: int
    """0 if every trial is over, one is complete and none failed; ``TRIALS_FAILED`` if every trial is over,
    but some failed or none is complete; 130 or 143 after a signal; 1 otherwise."""
    stopped: bool = False
    """Whether `hpo stop` ended it."""
    problems: list[str] = field(default_factory=list)
    """What went wrong with workers; empty if nothing did."""
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    """Trials that ended with an error, too little memory or dead workers."""
    warnings: list[str] = field(default_factory=list)
    """What ``StudyReady`` would have warned of, if no worker was needed."""


TRIALS_FAILED = 3
"""The exit code of a run that ended in good order, but whose trials failed."""
