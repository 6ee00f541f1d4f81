"""The number format of training: bf16 if this machine has units for it and it was measured to be faster."""

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
from hpo.config.image_format import STANDARD
from hpo.errors import DeviceError
from hpo.files import atomic_file, mark_used
from hpo.rng import Key
from hpo.settings import settings
from hpo.training.model_factory import build_model
from hpo.training.optim import build_optimizer

Resolved: TypeAlias = Literal["fp32", "bf16"]

WORTHWHILE = 1.1
"""bf16 is chosen only if it is at least this much faster: less does not justify the lost precision."""
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # the last two are Arm's
STEP_IMAGES = 64
"""Images in a timed step."""
_STEPS, _ROUNDS = 3, 5


@dataclass(frozen=True)
class Measurement:
    """Training speed of the default network in both formats, in images/s, and the machine."""

    machine: str
    fp32: float
    bf16: float
    when: str

    @property
    def faster(self) -> Resolved:
        """The format that ``auto`` chooses."""
        return "bf16" if self.bf16 >= WORTHWHILE * self.fp32 else "fp32"


def resolve_precision(precision: Precision, device: torch.device) -> Resolved:
    """Return the format for ``precision`` on ``device``; ``auto`` is measured once per machine.

    Raises ``DeviceError`` if bf16 is requested on a device without units for it.
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
    """Explain which format ``auto`` chooses on ``device``."""
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
    """Return the context manager for a forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _missing_units(device: torch.device) -> str:
    """Return why ``device`` cannot run bf16; empty if it can."""
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
    """Return the first value of a field of /proc/cpuinfo; empty if there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def processor(device: torch.device) -> str:
    """Return the name of the device's processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def measurement(device: torch.device) -> Measurement:
    """Return this machine's measurement from the cache, or measure now and cache it."""
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
    with contextlib.suppress(OSError):  # an unwritable cache costs two seconds, not the training
        _write(path, fresh)
    return _read(path) or fresh  # another worker may have been first


def _read(path: Path) -> Measurement | None:
    """Read a measurement; None if the file is missing or damaged."""
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
    """Measure images per second in both formats, alternating, the best of several rounds.

    On a CPU, the CPU time of one thread counts: the result is permanent, and must not depend on other load.
    """
    steps: dict[Resolved, Callable[[], None]] = {
        "fp32": default_step(device, "fp32"),
        "bf16": default_step(device, "bf16"),
    }
    seconds: dict[Resolved, float] = dict.fromkeys(steps, math.inf)
    with one_thread():
        for _ in range(1 + _ROUNDS):  # the first round is a warm-up
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
    """Return this thread's CPU time in seconds; on CUDA, the wall-clock time after a synchronization."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.thread_time()


def default_step(device: torch.device, precision: Resolved) -> Callable[[], None]:
    """Return a training step of the default network on one batch of noise."""
    configuration = Configuration()
    generator = torch.Generator().manual_seed(0)
    shape = STANDARD.shape
    images = torch.randn(STEP_IMAGES, *shape, generator=generator)
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.randint(10, (STEP_IMAGES,), generator=generator).to(device)
    model = build_model(configuration, classes=10, key=Key(0), sample=images.cpu(), in_shape=shape)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, configuration)

    def step() -> None:
        with autocast(device, precision):
            logits = model(images)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step
