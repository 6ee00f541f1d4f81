"""The checks that load PyTorch: its build, devices, number of workers, precision, training speed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from hpo.errors import DeviceError
from hpo.limits import memory, usable_cores
from hpo.reporting.doctor.checks import CheckResult, ok, problem, warning
from hpo.text import counted
from hpo.training.cores import default_workers, divide_threads, memory_shortage
from hpo.training.device import existing_devices, resolve_device
from hpo.training.precision import explain_precision, processor, resolve_precision
from hpo.training.speed import measure_speed

_NVIDIA_DRIVER = Path("/dev/nvidiactl")
_BUSY = 0.8
"""A computing thread that gets less of its core than this shares it with other programs."""


def pytorch() -> CheckResult:
    """Describe the build of PyTorch, and check that it fits the machine."""
    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    build = f"torch {torch.__version__}, {cuda}, CPU kernels for {torch.backends.cpu.get_cpu_capability()}"
    if _NVIDIA_DRIVER.exists() and not torch.cuda.is_available():
        return warning(
            f"{build}; this machine has an NVIDIA driver, but this PyTorch cannot use it",
            "install a build for the driver's CUDA version: https://pytorch.org/get-started",
        )
    return ok(build)


def devices(device: str) -> CheckResult:
    """List the devices, and name the one that trains."""
    try:
        chosen = resolve_device(device)
    except DeviceError as error:
        return problem(str(error), "use one of these with --device")
    names = [f"{name} ({_described(name)})" for name in existing_devices()]
    return ok(f"{', '.join(names)}; trains on {chosen}")


def _described(name: str) -> str:
    device = torch.device(name)
    if device.type == "cuda":
        on_board = torch.cuda.get_device_properties(device).total_memory
        return f"{processor(device)}, {on_board / 2**30:.0f} GiB"
    if device.type != "cpu":
        return device.type
    cores = usable_cores()
    return f"{processor(device)}, {counted(cores, 'core')}, {memory().described}"


def precision(device: str) -> CheckResult:
    """Explain what ``precision: auto`` chooses here, with the measurement."""
    return ok(explain_precision(resolve_device(device)))


def speed(device: str) -> CheckResult:
    """Measure the training speed, and compare it with that of matrix products."""
    place = resolve_device(device)
    found = measure_speed(place, resolve_precision("auto", place))
    on = "one thread" if place.type == "cpu" else str(place)
    rate = f"{found.images_per_second:,.0f} images/s"
    message = f"{on} trains the default network at {rate} in {found.precision}"
    if place.type != "cpu":  # no expected share: it has not been measured on GPUs
        return ok(message)
    message += f", {found.share:.0%} of what matrix products reach"
    if found.undisturbed >= _BUSY:
        return ok(message)
    message += f"; it had its core for {found.undisturbed:.0%} of the time"
    if (cores := usable_cores()) < 1:
        return warning(
            f"{message}: its control group has {counted(cores, 'core')}", "raise the group's CPU quota"
        )
    return warning(message, "other programs are using this machine: stop them, or run with fewer --workers")


def workers(device: str) -> CheckResult:
    """Report the default number of workers, and check that there is enough memory for them."""
    share = default_workers(device)
    threads = divide_threads(share.workers)
    message = f"{share.workers} by default, threads per worker: {threads} ({share.reason})"
    shortage = memory_shortage(share.workers)
    if shortage is not None:
        lacking, remedy = shortage
        return warning(f"{message}; {lacking}", remedy)
    return ok(message)


DEVICE_CHECKS: dict[str, Callable[[str], CheckResult]] = {
    "devices": devices,
    "workers": workers,
    "precision": precision,
    "speed": speed,
}
