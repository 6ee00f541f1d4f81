"""What every benchmark shares: the machine in one line, its images, and a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import torch

from hpo.config.image_format import STANDARD
from hpo.data.datasets import Dataset, load_dataset, resolve_auto
from hpo.settings import settings


def machine() -> str:
    """Return processor, cores, memory, device, versions, date, and the load before the benchmark."""
    load = f"load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else "load unknown"
    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    return (
        f"{_processor()}, {len(psutil.Process().cpu_affinity())} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB{gpu}; torch {torch.__version__}, "
        f"Python {platform.python_version()}; {datetime.now(UTC):%Y-%m-%d}; {load}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def images(notice: bool = True) -> Dataset:
    """Return CIFAR-10 if it is available, else the synthetic data set; print which, and why."""
    name, reason = resolve_auto(settings())
    if notice:
        print(f"images: {name} ({reason})")
    return load_dataset(name, STANDARD, settings=settings())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns aligned; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * max(width - 1, 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in [header, rule, *rows])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if not i else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "| " + " | ".join([first, *others]) + " |"
