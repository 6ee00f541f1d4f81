"""Which number format trains: bf16 where this machine has units for it and was measured to be faster."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch.nn import functional as F

from hpo.config.configuration import Configuration, Precision
from hpo.errors import DeviceError
from hpo.files import atomic_file, mark_used
from hpo.rng import Key
from hpo.settings import settings
from hpo.training.model_factory import build_model
from hpo.training.optim import build_optimizer

Resolved: TypeAlias = Literal["fp32", "bf16"]

WORTHWHILE = 1.1
"""bf16 is chosen only if it is this much faster: for less, nobody should give up 16 bits of each number."""
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # the last two are Arm's
STEP_IMAGES = 64
"""Images of a step that is timed."""
_STEPS, _ROUNDS = 3, 5


@dataclass(frozen=True)
class Measurement:
    """Training speed of the default network in both formats, in images/s, and where it was measured."""

    machine: str
    fp32: float
    bf16: float
    when: str

    @property
    def faster(self) -> Resolved:
        """What ``auto`` is here."""
        return "bf16" if self.bf16 >= WORTHWHILE * self.fp32 else "fp32"


def resolve_precision(precision: Precision, device: torch.device) -> Resolved:
    """What ``precision`` means on ``device``; ``auto`` is measured once per machine, in about two seconds.

    Raises DeviceError if bf16 is demanded of a device without units for it.
    """
    if precision == "fp32":
        return "fp32"
    missing = _missing_units(device)
    if precision == "bf16" and missing:
        raise DeviceError(f"precision: bf16 cannot run on {device}: {missing}; use precision: auto or fp32")
    if precision == "bf16" or missing:
        return "fp32" if missing else "bf16"
    return measurement(device).faster


def explain_precision(device: torch.device) -> str:
    """What ``auto`` is on ``device`` and why, in words."""
    missing = _missing_units(device)
    if missing:
        return f"fp32 on {device}: {missing}"
    speed = measurement(device)
    threads = " on one thread" if device.type == "cpu" else ""
    return (
        f"{speed.faster} on {device}: bf16 trains the default network at {speed.bf16 / speed.fp32:.2f} x the "
        f"speed of fp32 ({speed.bf16:,.0f} against {speed.fp32:,.0f} images/s{threads}; {speed.machine}; "
        f"measured {speed.when})"
    )


def autocast(device: torch.device, precision: Resolved) -> AbstractContextManager[object]:
    """The context in which a forward pass runs."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _missing_units(device: torch.device) -> str:
    """Why ``device`` has no bf16 units; empty if it has them."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ""
        return f"{torch.cuda.get_device_name(device)} has no bf16 units"
    if device.type == "cpu":
        return (
            ""
            if _cpu_flags() & _CPU_FLAGS
            else "this CPU has no bf16 units (avx512_bf16, amx_bf16 or Arm's bf16)"
        )
    return "bf16 is not used on this kind of device"


def _cpu_flags() -> set[str]:
    return set(_cpuinfo("flags").split()) | set(_cpuinfo("Features").split())


def _cpuinfo(field: str) -> str:
    """The first value of a field of /proc/cpuinfo; empty where there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def processor(device: torch.device) -> str:
    """The name of the device's processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def measurement(device: torch.device) -> Measurement:
    """This machine's measurement: from the cache, or made now and put there."""
    machine = f"{processor(device)}, torch {torch.__version__}"
    name = hashlib.sha256(f"{device.type}|{machine}".encode()).hexdigest()[:16]
    path = settings().cache / f"precision-{name}.json"
    known = _read(path)
    if known is not None:
        mark_used(path)
        return known
    speeds = _measure(device)
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    fresh = Measurement(machine, fp32=speeds["fp32"], bf16=speeds["bf16"], when=when)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs two seconds, not the training
        _write(path, fresh)
    return _read(path) or fresh  # a worker that measured at the same time may have been first


def _read(path: Path) -> Measurement | None:
    """The measurement in a file; None if there is none or it is damaged."""
    try:
        return Measurement(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, speed: Measurement) -> None:
    """Save the measurement unless another worker was first: all workers of a study must decide alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _read(path) is None:
        path.unlink(missing_ok=True)  # damaged
    with atomic_file(path, first_wins=True) as file:
        file.write(json.dumps(asdict(speed), indent=1).encode())


def _measure(device: torch.device) -> dict[Resolved, float]:
    """Images per second of training steps, formats alternated, the best of several rounds of each.

    On a CPU one thread's own CPU time is read: a busy machine would decide otherwise, and for ever.
    """
    steps: dict[Resolved, Callable[[], None]] = {
        "fp32": default_step(device, "fp32"),
        "bf16": default_step(device, "bf16"),
    }
    seconds: dict[Resolved, float] = dict.fromkeys(steps, math.inf)
    with one_thread():
        for _ in range(1 + _ROUNDS):  # the first round only warms up: the later ones beat it
            for precision, step in steps.items():
                started = own_time(device)
                for _ in range(_STEPS):
                    step()
                seconds[precision] = min(seconds[precision], own_time(device) - started)
    return {precision: _STEPS * STEP_IMAGES / each for precision, each in seconds.items()}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread inside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def own_time(device: torch.device) -> float:
    """Seconds on a clock that runs while this thread computes; on CUDA, while anything happens."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.thread_time()


def default_step(device: torch.device, precision: Resolved) -> Callable[[], None]:
    """A training step of the default network on one batch of noise."""
    configuration = Configuration()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(STEP_IMAGES, 3, 32, 32, generator=generator)
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.randint(10, (STEP_IMAGES,), generator=generator).to(device)
    model = build_model(configuration, classes=10, key=Key(0), sample=images.cpu())
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, configuration)

    def step() -> None:
        with autocast(device, precision):
            logits = model(images)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step
