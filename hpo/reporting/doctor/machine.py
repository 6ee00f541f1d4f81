"""Processor, devices, number format, speed, and how many workers that makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from hpo.errors import DeviceError
from hpo.reporting.doctor.checks import ProbeResult, ok, problem, warning
from hpo.training.cores import available_cores, default_crew, divide_threads
from hpo.training.device import existing_devices, resolve_device
from hpo.training.precision import explain_precision, processor, resolve_precision
from hpo.training.speed import EXPECTED_SHARE, measure_speed

_NVIDIA_DRIVER = Path("/dev/nvidiactl")
_WORKER_BYTES = 700e6  # the most that a worker may take (benchmarks/memory.py)
_BUSY = 0.8
"""A thread that computes and gets less of its core than this shares it with other programs."""


def pytorch() -> ProbeResult:
    """How PyTorch was built, and whether that fits the machine."""
    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    build = f"torch {torch.__version__}, {cuda}, CPU kernels for {torch.backends.cpu.get_cpu_capability()}"
    if _NVIDIA_DRIVER.exists() and not torch.cuda.is_available():
        return warning(
            f"{build}; this machine has an NVIDIA driver, which PyTorch does not use",
            "install a build for its version of CUDA: https://pytorch.org/get-started",
        )
    return ok(build)


def devices(device: str) -> ProbeResult:
    """The devices that exist, and the one that trains."""
    try:
        chosen = resolve_device(device)
    except DeviceError as error:
        return problem(str(error), "run with a --device of these")
    names = [f"{name} ({_described(name)})" for name in existing_devices()]
    return ok(f"{', '.join(names)}; trains on {chosen}")


def _described(name: str) -> str:
    device = torch.device(name)
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return f"{processor(device)}, {memory / 2**30:.0f} GiB"
    if device.type != "cpu":
        return device.type
    memory = psutil.virtual_memory().total
    return f"{processor(device)}, {available_cores()} cores, {memory / 2**30:.0f} GiB"


def precision(device: str) -> ProbeResult:
    """What ``precision: auto`` is here, with its measurement."""
    return ok(explain_precision(resolve_device(device)))


def speed(device: str) -> ProbeResult:
    """Training speed, beside what matrix products reach here."""
    place = resolve_device(device)
    found = measure_speed(place, resolve_precision("auto", place))
    on = "one thread" if place.type == "cpu" else str(place)
    said = f"{on} trains the default network at {found.images_per_second:,.0f} images/s in {found.precision}"
    if place.type != "cpu":  # its share has been measured on no GPU, so there is nothing to expect
        return ok(said)
    said += f", {found.share:.0%} of what matrix products reach (expected: {EXPECTED_SHARE:.0%} or more)"
    if found.share < EXPECTED_SHARE:
        return warning(said, "is the processor throttled? Does PyTorch use oneDNN (torch.__config__.show())?")
    if found.undisturbed < _BUSY:
        return warning(
            f"{said}; it had its core for {found.undisturbed:.0%} of the time",
            "other programs use this machine: end them, or give hpo fewer --workers",
        )
    return ok(said)


def workers(device: str) -> ProbeResult:
    """How many ``hpo run`` starts if nobody says, and whether there is memory for them."""
    crew = default_crew(device)
    threads = divide_threads(crew.workers)
    said = f"{crew.workers} by default, threads each: {threads} ({crew.why})"
    free = psutil.virtual_memory().available
    if free < crew.workers * _WORKER_BYTES:
        fitting = max(1, int(free / _WORKER_BYTES))
        return warning(
            f"{said}; {free / 1e9:.1f} GB of memory are free, each takes up to {_WORKER_BYTES / 1e9} GB",
            f"run with --workers {fitting}, or end other programs",
        )
    return ok(said)


ON_DEVICE: dict[str, Callable[[str], ProbeResult]] = {
    "devices": devices,
    "workers": workers,
    "precision": precision,
    "speed": speed,
}
