"""The checks that need no PyTorch: Python, packages, database, clock, images, disk, port."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from textwrap import dedent
from typing import Literal, TypeAlias

from packaging.requirements import Requirement

from hpo import __version__
from hpo.data.cifar10 import cifar10_advice, found_on_disk
from hpo.data.datasets import resolve_auto
from hpo.errors import DataError, StorageError, StorageUrlError
from hpo.files import existing_part, is_writable, temporary_folder
from hpo.provenance import DISTRIBUTION
from hpo.reporting.dashboard import DEFAULT_PORT
from hpo.settings import settings
from hpo.storage.ping import DatabaseInfo, ping, seconds_ahead
from hpo.storage.revision import HEAD
from hpo.storage.url import parse_url

Condition: TypeAlias = Literal["ok", "warning", "problem"]

_SLOW_MS = 100.0
"""Each epoch is written in several round trips: above this, short trials would notice."""
_CLOCKS_APART = 5.0
"""In seconds. Leases use the database's clock only; a difference confuses people who compare times."""
_LITTLE_BYTES = 1e9
"""A trial of the default network has two checkpoints of 0.7 MB (benchmarks/checkpoints.py), a wide one a
hundred times as much; an SQLite database needs its own size again while it is backed up."""
_LITTLE_TEMPORARY_BYTES = 1e8  # the output of workers; `hpo query --format parquet` keeps its rows there
_DECODED_BYTES = 60_000 * 3 * 32 * 32
_ROOM_BYTES = 2 * _DECODED_BYTES  # decoded images and the images as downloaded


@dataclass(frozen=True)
class CheckResult:
    """One line of ``hpo doctor``. Studies run with a warning, but not with a problem."""

    condition: Condition
    message: str
    remedy: str = ""
    """How to fix it; empty if all is well."""


def ok(message: str) -> CheckResult:
    """Return the result that all is well."""
    return CheckResult("ok", message)


def warning(message: str, remedy: str) -> CheckResult:
    """Return the result that studies run, but not as well as they could."""
    return CheckResult("warning", message, remedy)


def problem(message: str, remedy: str) -> CheckResult:
    """Return the result that studies cannot run."""
    return CheckResult("problem", message, remedy)


def python() -> CheckResult:
    """Describe the interpreter."""
    return ok(f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}")


def packages() -> CheckResult:
    """Check that each dependency is installed in a version that hpo supports."""
    other = _other_hpo()
    if other is not None:
        return problem(
            f"the package hpo {other} is installed beside {DISTRIBUTION} and has files of the same names: "
            "it is another project's, or an hpo from before the package was renamed",
            f"{sys.executable} -m pip uninstall hpo; then install {DISTRIBUTION} again",
        )
    try:
        texts = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return warning(
            f"hpo {__version__} is not installed, only found: the packages that it needs are not known",
            f"{sys.executable} -m pip install -e {Path(__file__).parents[3]}",
        )
    needed = [Requirement(text) for text in texts]
    needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = {each.name: _version(each.name) for each in needed}
    wrong = [each for each in needed if not _fits(each, found[each.name])]
    if wrong:
        message = ", ".join(
            f"{each.name} {found[each.name] or 'is missing'} (hpo needs {each.specifier})" for each in wrong
        )
        quoted = " ".join(f"'{each.name}{each.specifier}'" for each in wrong)
        return problem(message, f"{sys.executable} -m pip install {quoted}")
    return ok(f"hpo {__version__}; " + ", ".join(f"{name} {found[name]}" for name in sorted(found)))


def _other_hpo() -> str | None:
    """Return the version of an installed package `hpo` that has modules of the name `hpo`, too."""
    try:
        found = distribution("hpo")
    except PackageNotFoundError:
        return None
    return found.version if "hpo/__init__.py" in (found.read_text("RECORD") or "") else None


def _fits(needed: Requirement, installed: str | None) -> bool:
    return installed is not None and needed.specifier.contains(installed, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def database(url: str) -> CheckResult:
    """Check that the database is reachable; report its kind, schema and latency."""
    try:
        found = ping(url)
    except (StorageError, StorageUrlError) as error:
        return problem(str(error), "fix this database, or use another one with --storage")
    if not found.exists:
        return _not_created_yet(Path(found.place))
    message = f"{found.place}, {found.engine}, {_schema(found)}, answers in {found.answer_ms:.1f} ms"
    if found.answer_ms > _SLOW_MS:
        return warning(message, "train closer to the database: workers write to it after every epoch")
    return ok(message)


def _schema(found: DatabaseInfo) -> str:
    if found.schema is None:
        return "no studies yet"
    return f"schema {found.schema}" + ("" if found.schema == HEAD else f" (`hpo run` upgrades it to {HEAD})")


def _not_created_yet(path: Path) -> CheckResult:
    folder = path.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok(f"{path}, SQLite, will be created by the first `hpo run`")
    reason = "is not writable" if folder.is_dir() else "does not exist"
    return problem(
        f"{path} cannot be created: {folder} {reason}", "create the folder, or use another --storage"
    )


def clock(url: str) -> CheckResult:
    """Compare this machine's clock with the database's."""
    if parse_url(url).drivername == "sqlite":
        return ok("SQLite uses this machine's clock")
    ahead = seconds_ahead(url)
    if abs(ahead) <= _CLOCKS_APART:
        return ok(f"within {abs(ahead):.2f} s of the database's clock, which times the leases")
    where = "behind" if ahead > 0 else "ahead of"
    return warning(
        f"{abs(ahead):,.0f} s {where} the database's; leases are safe, since they use the database's clock",
        "times in this machine's logs and in the database do not match: synchronize both clocks (NTP)",
    )


def temporary_files() -> CheckResult:
    """Check that there is a folder for temporary files, such as the output of workers, with room."""
    folder = temporary_folder("hpo-doctor-")
    try:
        free = shutil.disk_usage(folder).free
    finally:
        folder.rmdir()
    message = f"in {folder.parent}, {free / 1e9:,.1f} GB free"
    if free < _LITTLE_TEMPORARY_BYTES:
        return warning(message, "free some space, or set $TMPDIR to a folder on another disk")
    return ok(message)


def cifar10() -> CheckResult:
    """Check whether CIFAR-10 is on disk, in which form, or can be downloaded."""
    data = settings().data.absolute()
    try:
        name, why = resolve_auto(settings())
    except DataError as error:
        return problem(_first_line(error), f"set $HPO_DATA to a readable folder (it is {data})")
    if name == "synthetic":
        return warning(
            f"{why}; dataset: auto generates synthetic images instead",
            dedent(cifar10_advice(data).partition("\n")[2].rpartition("\n")[0]).strip(),
        )
    found = found_on_disk(data)
    form = "" if found is None else ", as image files" if (found / "train").is_dir() else ", as downloaded"
    return ok(f"{why}{form}")


def cache() -> CheckResult:
    """Check that the cache of decoded images is writable; report its contents and the free space."""
    folder = settings().cache.absolute()
    existing = existing_part(folder)
    if not is_writable(folder):
        return problem(
            f"decoded images cannot be cached in {folder}: {existing} is not a writable folder",
            "set $HPO_CACHE to a writable folder",
        )
    free = shutil.disk_usage(existing).free
    message = f"{folder} holds {_contents(folder)}; {free / 1e9:,.1f} GB of disk space free"
    if free < _ROOM_BYTES:
        needed = f"{_ROOM_BYTES / 1e9:.1f} GB"
        return warning(message, f"free {needed}, or set $HPO_CACHE to a folder on another disk")
    return ok(message)


def _contents(folder: Path) -> str:
    found = sorted(path.parent.name.rpartition("-")[0] for path in folder.glob("datasets/*/meta.json"))
    return ", ".join(found) if found else "no decoded images yet"


def _first_line(error: DataError) -> str:
    return str(error).partition("\n")[0]


def disk(url: str) -> CheckResult:
    """Report the free space for checkpoints, saved weights and an SQLite database, by disk."""
    places = {
        "checkpoints ($HPO_CHECKPOINTS)": settings().checkpoints.absolute(),
        "saved weights ($HPO_ARTIFACTS)": settings().artifacts.absolute(),
        **_database_folder(url),
    }
    not_writable = [
        f"{name}: {existing_part(place)} is not a writable folder"
        for name, place in places.items()
        if not is_writable(place)
    ]
    if not_writable:
        return warning("; ".join(not_writable), "use other folders: set the variable, or --storage")
    shared: dict[int, list[str]] = defaultdict(list)
    free: dict[int, int] = {}
    for name, place in places.items():
        existing = existing_part(place)
        device = existing.stat().st_dev
        shared[device].append(name)
        free[device] = shutil.disk_usage(existing).free
    message = "; ".join(
        f"{free[device] / 1e9:,.1f} GB free for {', '.join(names)}" for device, names in shared.items()
    )
    if min(free.values()) < _LITTLE_BYTES:
        return warning(
            message, "free some space (`hpo db prune` lists what can go), or use folders on another disk"
        )
    return ok(message)


def _database_folder(url: str) -> dict[str, Path]:
    try:
        parsed = parse_url(url)
    except StorageUrlError:  # the check of the database reports it
        return {}
    if parsed.drivername != "sqlite":
        return {}
    return {"the database": Path(str(parsed.database)).absolute().parent}


def dashboard(port: int = DEFAULT_PORT) -> CheckResult:
    """Check that the dashboard's port is free on this machine."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ok(f"port {port} is free for `hpo dashboard`")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return warning(
                f"port {port} is in use: by a running dashboard, or by another program",
                "choose another port (`hpo dashboard --port 8081`), or let --port 0 find one",
            )
        return warning(
            f"cannot listen on port {port}: {error}", "choose another port: `hpo dashboard --port N`"
        )
