"""What `hpo doctor` checks: software, machine, database, disk, data, port."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, TypeAlias

from packaging.requirements import Requirement

from hpo.data.cifar10 import cifar10_advice, found_on_disk
from hpo.data.datasets import resolve_auto
from hpo.errors import DataError, StorageError, StorageUrlError
from hpo.reporting.dashboard import DEFAULT_PORT
from hpo.settings import settings
from hpo.storage.ping import DatabaseInfo, reach, seconds_ahead
from hpo.storage.revision import HEAD
from hpo.storage.url import parse_url

Condition: TypeAlias = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class ProbeResult:
    """One line of ``hpo doctor``: a warning lets studies run, with a problem they cannot."""

    condition: Condition
    message: str
    remedy: str = ""
    """What to do about it; empty if all is well."""


def ok(message: str) -> ProbeResult:
    """All is well."""
    return ProbeResult("ok", message)


def warning(message: str, remedy: str) -> ProbeResult:
    """Studies run, but not as well as they could."""
    return ProbeResult("warning", message, remedy)


def problem(message: str, remedy: str) -> ProbeResult:
    """Studies cannot run."""
    return ProbeResult("problem", message, remedy)


_SLOW_MS = 100.0
"""Each epoch is written in several round trips: above this they would be felt in short trials."""
_CLOCKS_APART = 5.0
"""In seconds. Leases count by the database's clock alone; what suffers is who compares times."""


def database(url: str) -> ProbeResult:
    """Reachable, kind, schema, latency."""
    try:
        found = reach(url)
    except (StorageError, StorageUrlError) as error:
        return problem(str(error), "use another --storage, or mend this one")
    if not found.exists:
        return _not_there_yet(Path(found.place))
    said = f"{found.place}, {found.engine}, {_schema(found)}, answers in {found.answer_ms:.1f} ms"
    if found.answer_ms > _SLOW_MS:
        return warning(said, "train nearer to the database: every epoch is written there")
    return ok(said)


def clock(url: str) -> ProbeResult:
    """Whether this machine's clock and the database's agree."""
    if parse_url(url).drivername == "sqlite":
        return ok("an SQLite database goes by this machine's clock")
    ahead = seconds_ahead(url)
    if abs(ahead) <= _CLOCKS_APART:
        return ok(f"within {abs(ahead):.2f} s of the database's, by which leases count")
    where = "behind" if ahead > 0 else "ahead of"
    return warning(
        f"{abs(ahead):,.0f} s {where} the database's; leases are safe, as they count by the database's alone",
        "times in logs here and in the database do not fit together: set both clocks by NTP",
    )


def _schema(found: DatabaseInfo) -> str:
    if found.schema is None:
        return "no study yet"
    return f"schema {found.schema}" + ("" if found.schema == HEAD else f" (`hpo run` brings it to {HEAD})")


def _not_there_yet(path: Path) -> ProbeResult:
    folder = path.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok(f"{path}, SQLite, is made by the first `hpo run`")
    reason = "cannot be written" if folder.is_dir() else "does not exist"
    return problem(f"{path} cannot be made: {folder} {reason}", "use another --storage, or make the folder")


_LITTLE_BYTES = 1e9
"""A trial of the default network has two checkpoints of 0.7 MB (benchmarks/checkpoints.py), a wide one a
hundred times as much; an SQLite database needs its own size again while it is backed up."""


def disk(url: str) -> ProbeResult:
    """How much room there is for checkpoints, kept weights and an SQLite database, by disk."""
    places = {
        "checkpoints ($HPO_CHECKPOINTS)": settings().checkpoints.expanduser().absolute(),
        "kept weights ($HPO_ARTIFACTS)": settings().artifacts.expanduser().absolute(),
        **_database_folder(url),
    }
    refusing = [
        f"{name}: {existing_part(place)} is no folder that can be written"
        for name, place in places.items()
        if not is_writable(existing_part(place))
    ]
    if refusing:
        return warning("; ".join(refusing), "set the variable to a folder that can be written")
    shared: dict[int, list[str]] = defaultdict(list)
    free: dict[int, int] = {}
    for name, place in places.items():
        existing = existing_part(place)
        device = existing.stat().st_dev
        shared[device].append(name)
        free[device] = shutil.disk_usage(existing).free
    rooms = [f"{free[each] / 1e9:,.1f} GB are free for {', '.join(names)}" for each, names in shared.items()]
    if min(free.values()) < _LITTLE_BYTES:
        return warning(
            "; ".join(rooms), "make room (`hpo db prune` lists what can go), or use folders on another disk"
        )
    return ok("; ".join(rooms))


def existing_part(place: Path) -> Path:
    """The place, or the nearest folder above it that is there."""
    return next(each for each in (place, *place.parents) if each.exists())


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _database_folder(url: str) -> dict[str, Path]:
    try:
        parsed = parse_url(url)
    except StorageUrlError:  # the database's own line says it
        return {}
    return (
        {"the database": Path(str(parsed.database)).absolute().parent}
        if parsed.drivername == "sqlite"
        else {}
    )


_DECODED_BYTES = 60_000 * 3 * 32 * 32
_ROOM_BYTES = 2 * _DECODED_BYTES  # decoded images and the images as downloaded


def cifar10() -> ProbeResult:
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


def cache() -> ProbeResult:
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


"""A thread that computes and gets less of its core than this shares it with other programs."""


def dashboard(port: int = DEFAULT_PORT) -> ProbeResult:
    """Whether its port is free on this machine."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ok(f"port {port} is free for `hpo dashboard`")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return warning(
                f"port {port} is in use: by a dashboard already, or another program",
                "name another one (`hpo dashboard --port 8081`), or let --port 0 find one",
            )
        return warning(
            f"port {port} cannot be listened on: {error}", "name another one: `hpo dashboard --port N`"
        )


def python() -> ProbeResult:
    """The interpreter."""
    return ok(f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}")


def packages() -> ProbeResult:
    """Whether each dependency is installed in a version that hpo was made for."""
    needed = [Requirement(text) for text in requires("hpo") or []]
    needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = {each.name: _version(each.name) for each in needed}
    wrong = [each for each in needed if not _fits(each, found[each.name])]
    if wrong:
        said = ", ".join(f"{e.name} {found[e.name] or 'is missing'} (hpo needs {e.specifier})" for e in wrong)
        quoted = " ".join(f"'{each.name}{each.specifier}'" for each in wrong)
        return problem(said, f"{sys.executable} -m pip install {quoted}")
    return ok(f"hpo {version('hpo')}; " + ", ".join(f"{name} {found[name]}" for name in sorted(found)))


def _fits(needed: Requirement, installed: str | None) -> bool:
    return installed is not None and needed.specifier.contains(installed, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
