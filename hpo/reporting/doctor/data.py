"""Images: where they are, and where decoded ones are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from hpo.data.cifar10 import cifar10_advice, found_on_disk
from hpo.data.datasets import resolve_auto
from hpo.errors import DataError
from hpo.reporting.doctor.diagnosis import Diagnosis, ok, problem, warning
from hpo.reporting.doctor.disk import existing_part, is_writable
from hpo.settings import settings

_DECODED_BYTES = 60_000 * 3 * 32 * 32
_ROOM_BYTES = 2 * _DECODED_BYTES  # decoded images and the images as downloaded


def cifar10() -> Diagnosis:
    """Whether CIFAR-10 is there, in which form, or can be had."""
    data = settings().data.expanduser().absolute()
    try:
        name, why = resolve_auto(settings())
    except DataError as error:
        return problem(_first_line(error), f"set $HPO_DATA to a folder that can be read (it is {data})")
    if name == "synthetic":
        return warning(
            f"{why}; dataset: auto draws its own pictures instead",
            cifar10_advice(data).partition("\n")[2].rpartition("\n")[0].strip(),
        )
    found = found_on_disk(data)
    form = "" if found is None else ", as image files" if (found / "train").is_dir() else ", as downloaded"
    return ok(f"{why}{form}")


def cache() -> Diagnosis:
    """Whether the folder for decoded images can be written, what is in it, and how much room there is."""
    folder = settings().cache.expanduser().absolute()
    existing = existing_part(folder)
    if not is_writable(existing):
        return problem(
            f"decoded images cannot be kept in {folder}: {existing} cannot be written",
            "set $HPO_CACHE to a folder that can be written",
        )
    free = shutil.disk_usage(existing).free
    said = f"{folder} holds {_contents(folder)}; {free / 1e9:,.1f} GB of disk are free"
    if free < _ROOM_BYTES:
        room = f"{_ROOM_BYTES / 1e9:.1f} GB"
        return warning(said, f"free {room}, or set $HPO_CACHE to a folder on another disk")
    return ok(said)


def _contents(folder: Path) -> str:
    found = sorted(path.parent.name.rpartition("-")[0] for path in folder.glob("datasets/*/meta.json"))
    return ", ".join(found) if found else "no decoded images yet"


def _first_line(error: DataError) -> str:
    return str(error).partition("\n")[0]
