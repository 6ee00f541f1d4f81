"""Measures how fast this machine trains, compared with its speed at matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from hpo.limits import usable_cores
from hpo.training.cores import default_workers, divide_threads
from hpo.training.device import resolve_device
from hpo.training.precision import (
    STEP_IMAGES,
    Resolved,
    default_step,
    one_thread,
    own_time,
    resolve_precision,
)

_STEPS, _ROUNDS = 3, 4
_MATRIX = 1024


@dataclass(frozen=True)
class Speed:
    """Training speed of the default network; on a CPU with one thread, by its own CPU time."""

    precision: Resolved
    images_per_second: float
    share: float
    """Training's share of the operations per second of a matrix product.

    What is normal depends on the processor: 0.47 to 0.66 in fp32 on a Zen 3, 0.46 in bf16 on a Zen 4, 0.19 on
    a Xeon with AMX, whose matrix units are too fast for convolutions of width 16.
    """
    undisturbed: float
    """Share of the time that the thread had its core; 1 on an idle machine."""


def measure_speed(device: torch.device, precision: Resolved) -> Speed:
    """Train a few steps for one to two seconds. The best of several rounds counts."""
    step = default_step(device, precision)
    with FlopCounterMode(display=False) as counter:
        step()
    operations: float = counter.get_total_flops()
    with one_thread():
        began, began_own = time.perf_counter(), own_time(device)
        training = min(_seconds(device, step, _STEPS) for _ in range(_ROUNDS)) / _STEPS
        product = _product(device, precision)
        peak = 2 * _MATRIX**3 / min(_seconds(device, product, 1) for _ in range(_ROUNDS))
        own, whole = own_time(device) - began_own, time.perf_counter() - began
    return Speed(precision, STEP_IMAGES / training, operations / training / peak, min(1.0, own / whole))


def pool_speed(trials: int | None = None) -> float:
    """Return the images per second that the workers of `hpo run` train together, in a study of ``trials``.

    Measured in a few seconds with the default network, for a machine without other load.
    """
    device = resolve_device("auto")
    speed = measure_speed(device, resolve_precision("auto", device)).images_per_second
    if device.type != "cpu":
        return speed
    workers = default_workers("cpu", trials).workers
    return speed * min(workers * divide_threads(workers), usable_cores())


def _product(device: torch.device, precision: Resolved) -> Callable[[], object]:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.ones(_MATRIX, _MATRIX, dtype=dtype, device=device)
    return lambda: matrix @ matrix


def _seconds(device: torch.device, work: Callable[[], object], times: int) -> float:
    started = own_time(device)
    for _ in range(times):
        work()
    return own_time(device) - started
