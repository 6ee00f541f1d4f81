"""What ``hpo doctor`` looks at, in this order. One more is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpo.errors import HpoError
from hpo.reporting.doctor import data, database, disk, port, software
from hpo.reporting.doctor.diagnosis import Diagnosis, problem


@dataclass(frozen=True)
class Patient:
    """What is examined besides this machine."""

    storage_url: str
    device: str


@dataclass(frozen=True)
class Examination:
    """A thing to look at; ``waiting`` is said where that takes a moment."""

    topic: str
    examine: Callable[[Patient], Diagnosis]
    waiting: str = ""
    after: str = ""
    """The topic without which there is nothing to look at."""


def diagnose(
    patient: Patient, announce: Callable[[Examination], None]
) -> Iterator[tuple[Examination, Diagnosis]]:
    """Examine one thing after the other, each announced; an error that has words is a problem."""
    ailing: set[str] = set()
    for examination in EXAMINATIONS:
        if examination.after in ailing:
            continue
        announce(examination)
        try:
            diagnosis = examination.examine(patient)
        except HpoError as error:
            diagnosis = problem(str(error), "")
        if diagnosis.condition == "problem":
            ailing.add(examination.topic)
        yield examination, diagnosis


def _pytorch(patient: Patient) -> Diagnosis:
    from hpo.reporting.doctor import machine  # loads PyTorch: what comes before need not wait for it

    return machine.pytorch()


def _on_device(name: str) -> Callable[[Patient], Diagnosis]:
    def examine(patient: Patient) -> Diagnosis:
        from hpo.reporting.doctor import machine

        return machine.ON_DEVICE[name](patient.device)

    return examine


EXAMINATIONS: tuple[Examination, ...] = (
    Examination("python", lambda patient: software.python()),
    Examination("packages", lambda patient: software.packages()),
    Examination("database", lambda patient: database.database(patient.storage_url)),
    Examination("clock", lambda patient: database.clock(patient.storage_url), after="database"),
    Examination("cifar10", lambda patient: data.cifar10(), "looking for CIFAR-10"),
    Examination("cache", lambda patient: data.cache()),
    Examination("disk", lambda patient: disk.disk(patient.storage_url)),
    Examination("dashboard", lambda patient: port.dashboard()),
    Examination("pytorch", _pytorch, "loading PyTorch"),
    Examination("devices", _on_device("devices")),
    Examination("workers", _on_device("workers"), after="devices"),
    Examination("precision", _on_device("precision"), "measuring fp32 and bf16", "devices"),
    Examination("speed", _on_device("speed"), "measuring the training speed", "devices"),
)
