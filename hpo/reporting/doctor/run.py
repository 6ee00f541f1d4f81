"""The checks of ``hpo doctor``, in order. A new check is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpo.errors import HpoError
from hpo.reporting.doctor import checks
from hpo.reporting.doctor.checks import CheckResult, problem
from hpo.reporting.system_errors import explain_system_error


@dataclass(frozen=True)
class Environment:
    """What is checked in addition to this machine."""

    storage_url: str
    device: str


@dataclass(frozen=True)
class DoctorCheck:
    """A named check; ``progress`` is shown while one that takes a moment runs."""

    topic: str
    run: Callable[[Environment], CheckResult]
    progress: str = ""
    after: tuple[str, ...] = ()
    """The topics that must not be problems for this check to run."""


def run_checks(
    environment: Environment, announce: Callable[[DoctorCheck], None]
) -> Iterator[tuple[DoctorCheck, CheckResult]]:
    """Run one check after the other, each announced first; an ``HpoError`` becomes a problem."""
    failed: set[str] = set()
    for check in DOCTOR_CHECKS:
        if failed.intersection(check.after):
            continue
        announce(check)
        try:
            result = check.run(environment)
        except HpoError as error:
            result = problem(str(error), "")
        except OSError as error:
            explained = explain_system_error(error)
            if not explained:
                raise
            result = problem(explained, "")
        if result.condition == "problem":
            failed.add(check.topic)
        yield check, result


def _pytorch(environment: Environment) -> CheckResult:
    from hpo.reporting.doctor import machine  # loads PyTorch: the checks before it need not wait

    return machine.pytorch()


def _on_device(topic: str) -> Callable[[Environment], CheckResult]:
    def run(environment: Environment) -> CheckResult:
        from hpo.reporting.doctor import machine

        return machine.DEVICE_CHECKS[topic](environment.device)

    return run


_MEASURED = ("devices", "tempfiles")  # PyTorch writes some when it trains

DOCTOR_CHECKS: tuple[DoctorCheck, ...] = (
    DoctorCheck("python", lambda environment: checks.python()),
    DoctorCheck("packages", lambda environment: checks.packages()),
    DoctorCheck("database", lambda environment: checks.database(environment.storage_url)),
    DoctorCheck("clock", lambda environment: checks.clock(environment.storage_url), after=("database",)),
    DoctorCheck("tempfiles", lambda environment: checks.temporary_files()),
    DoctorCheck("cifar10", lambda environment: checks.cifar10(), "looking for CIFAR-10"),
    DoctorCheck("cache", lambda environment: checks.cache()),
    DoctorCheck("disk", lambda environment: checks.disk(environment.storage_url)),
    DoctorCheck("dashboard", lambda environment: checks.dashboard()),
    DoctorCheck("pytorch", _pytorch, "loading PyTorch"),
    DoctorCheck("devices", _on_device("devices")),
    DoctorCheck("workers", _on_device("workers"), after=("devices",)),
    DoctorCheck("precision", _on_device("precision"), "measuring fp32 and bf16", _MEASURED),
    DoctorCheck("speed", _on_device("speed"), "measuring the training speed", _MEASURED),
)
