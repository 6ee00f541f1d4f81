"""What ``hpo doctor`` looks at, in this order. One more is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpo.errors import HpoError
from hpo.reporting.doctor import checks
from hpo.reporting.doctor.checks import ProbeResult, problem


@dataclass(frozen=True)
class Environment:
    """What is examined besides this machine."""

    storage_url: str
    device: str


@dataclass(frozen=True)
class Probe:
    """A thing to look at; ``waiting`` is said where that takes a moment."""

    topic: str
    examine: Callable[[Environment], ProbeResult]
    waiting: str = ""
    after: str = ""
    """The topic without which there is nothing to look at."""


def diagnose(patient: Environment, announce: Callable[[Probe], None]) -> Iterator[tuple[Probe, ProbeResult]]:
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


def _pytorch(patient: Environment) -> ProbeResult:
    from hpo.reporting.doctor import machine  # loads PyTorch: what comes before need not wait for it

    return machine.pytorch()


def _on_device(name: str) -> Callable[[Environment], ProbeResult]:
    def examine(patient: Environment) -> ProbeResult:
        from hpo.reporting.doctor import machine

        return machine.ON_DEVICE[name](patient.device)

    return examine


EXAMINATIONS: tuple[Probe, ...] = (
    Probe("python", lambda patient: checks.python()),
    Probe("packages", lambda patient: checks.packages()),
    Probe("database", lambda patient: checks.database(patient.storage_url)),
    Probe("clock", lambda patient: checks.clock(patient.storage_url), after="database"),
    Probe("cifar10", lambda patient: checks.cifar10(), "looking for CIFAR-10"),
    Probe("cache", lambda patient: checks.cache()),
    Probe("disk", lambda patient: checks.disk(patient.storage_url)),
    Probe("dashboard", lambda patient: checks.dashboard()),
    Probe("pytorch", _pytorch, "loading PyTorch"),
    Probe("devices", _on_device("devices")),
    Probe("workers", _on_device("workers"), after="devices"),
    Probe("precision", _on_device("precision"), "measuring fp32 and bf16", "devices"),
    Probe("speed", _on_device("speed"), "measuring the training speed", "devices"),
)
