"""What hpo left on this machine and in the database that nothing needs any more."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, func, select

from hpo.artifacts import store as kept
from hpo.artifacts.ranking import trials_to_keep
from hpo.config.study import StudySpec
from hpo.maintenance.check import CHECKS
from hpo.settings import settings
from hpo.storage import orphans
from hpo.storage.engine import reading, write
from hpo.storage.store import ResultsStore
from hpo.storage.studies import results_engine
from hpo.storage.tables import STUDIES, StatisticsRow, StudyRow, TrialRow
from hpo.storage.url import parse_url, place

DAY = 86_400.0
_LEFTOVER_DAYS = 1.0
"""A temporary file this old belongs to no writer that is still at it: downloading CIFAR-10 takes minutes."""


@dataclass(frozen=True)
class Removable:
    """A thing that may go: ``path`` on this machine, or None for rows of the database."""

    kind: str
    what: str
    path: Path | None
    bytes: int
    idle_days: float | None
    """How long nobody has used it."""


Find: TypeAlias = Callable[[float], Iterator[Removable]]
"""Yields what has not been used for so many days."""


def find_files(days: float) -> list[Removable]:
    """What may go from this machine's cache and temporary folders."""
    return [each for find in FILE_KINDS.values() for each in find(days)]


def find_rows(url: str) -> list[Removable]:
    """What may go from the database; reads only. None where there is no database of hpo's."""
    engine = results_engine(url)
    try:
        with reading(engine) as connection:
            return list(_rows(connection))
    finally:
        engine.dispose()


def find_weights(url: str) -> list[Removable]:
    """Kept weights that no trial of this database needs: of a deleted study, or no longer of the best trials.

    Only folders that say that they are of this database: others may share the place.
    """
    mine = place(parse_url(url))
    engine = results_engine(url)
    try:
        with reading(engine) as connection:
            return [
                each
                for folder, whose in kept.studies()
                if whose.get("database") == mine
                for each in _unneeded(connection, folder, str(whose.get("study")))
            ]
    finally:
        engine.dispose()


def _unneeded(connection: Connection, folder: Path, study: str) -> Iterator[Removable]:
    found = kept.trial_folders(folder.name)
    row = connection.execute(
        select(StudyRow.study_id, StudyRow.spec)
        .join(STUDIES, STUDIES.c.study_id == StudyRow.study_id)
        .where(StudyRow.uid == folder.name)
    ).one_or_none()
    if row is None:
        yield Removable("weights", f"weights of the deleted study {study}", folder, _size(folder), None)
        return
    spec = StudySpec.model_validate(row.spec)
    now = trials_to_keep(connection, row.study_id, spec.keep_best)
    for each in kept.stale(found, now.unfinished, now.best):
        what = f"weights of trial {each.number} of {study}, which is not one of its best {spec.keep_best}"
        yield Removable("weights", what, each.path, _size(each.path), None)


def remove_files(removables: list[Removable]) -> int:
    """Remove them from the disk; the bytes that were freed. What somebody removed meanwhile is fine."""
    freed = 0
    for each in removables:
        if each.path is None:
            continue
        if each.path.is_dir():
            shutil.rmtree(each.path, ignore_errors=True)
        else:
            each.path.unlink(missing_ok=True)
        freed += 0 if each.path.exists() else each.bytes
    return freed


def remove_rows(url: str) -> None:
    """Remove from the database what ``find_rows`` names."""

    def work(connection: Connection) -> None:
        orphans.sweep(connection)
        connection.execute(delete(StatisticsRow).where(_unused()))

    with ResultsStore(url) as store:
        write(store.engine, work)


def _images(days: float) -> Iterator[Removable]:
    """Decoded data sets: made again from the images when they are next needed."""
    for meta in _cache().glob("datasets/*/meta.json"):
        yield from _idle("images", f"decoded images {meta.parent.name}", meta.parent, meta, days)


def _precision(days: float) -> Iterator[Removable]:
    """Measurements of bf16 against fp32: made again, in two seconds."""
    for path in _cache().glob("precision-*.json"):
        yield from _idle("precision", f"a measurement of number formats {path.name}", path, path, days)


def _preprocessing(days: float) -> Iterator[Removable]:
    """Principal components, and the images whitened with them: computed again when they are next needed."""
    for path in _cache().glob("components/*.npz"):
        yield from _idle("preprocessing", f"principal components {path.name}", path, path, days)
    for path in _cache().glob("preprocessed/*/images.npy"):
        name = path.parent.name
        yield from _idle("preprocessing", f"preprocessed images {name}", path.parent, path, days)


def _checkpoints(days: float) -> Iterator[Removable]:
    """Trials that were interrupted, and with which nobody has gone on."""
    for folder in settings().checkpoints.expanduser().absolute().glob("*"):
        # Written anew at each checkpoint of a trial.
        newest = max(folder.glob("*"), key=lambda path: path.stat().st_mtime, default=folder)
        yield from _idle("checkpoints", f"checkpoints of study {folder.name}", folder, newest, days)


def _leftovers(_days: float) -> Iterator[Removable]:
    """What killed processes left half-written, and the logs of workers whose run is over."""
    places = (_cache(), _cache() / "datasets", _cache() / "components", settings().data.expanduser())
    for folder in (*places, *_cache().glob("preprocessed/*"), *kept.artifacts().glob("*")):
        for path in folder.glob(".*.tmp"):
            yield from _idle("leftovers", f"half-written {path.name}", path, path, _LEFTOVER_DAYS)
    for path in Path(tempfile.gettempdir()).glob("hpo-run-*"):
        if path.is_dir() and path.stat().st_uid == os.getuid():
            yield from _idle(
                "leftovers", f"logs of workers that died {path.name}", path, path, _LEFTOVER_DAYS
            )


# A new kind of thing on disk that needs no database to judge it is one entry here.
FILE_KINDS: dict[str, Find] = {
    "images": _images,
    "precision": _precision,
    "preprocessing": _preprocessing,
    "checkpoints": _checkpoints,
    "leftovers": _leftovers,
}


def _rows(connection: Connection) -> Iterator[Removable]:
    for check in ("orphaned_studies", "orphaned_trials"):
        for row in CHECKS[check].find(connection):
            yield Removable("orphans", CHECKS[check].message.format(**row), None, 0, None)
    size = func.length(StatisticsRow.state)
    unused = select(StudyRow.name, StatisticsRow.hash, size).join(
        StudyRow, StudyRow.study_id == StatisticsRow.study_id
    )
    for name, digest, length in connection.execute(unused.where(_unused())):
        what = f"what preprocessing {digest[:12]} of study {name} learned, which no trial refers to"
        yield Removable("statistics", what, None, length, None)


def _unused() -> Any:
    used = select(TrialRow.trial_id).where(
        TrialRow.study_id == StatisticsRow.study_id, TrialRow.statistics_hash == StatisticsRow.hash
    )
    return ~used.exists()


def _idle(kind: str, what: str, path: Path, mark: Path, days: float) -> Iterator[Removable]:
    """``path``, if ``mark`` was neither read nor written for so long.

    Whoever uses a thing of the cache writes the time to its mark, as many disks do not keep times of reading.
    """
    try:
        idle = (time.time() - mark.stat().st_mtime) / DAY
        if idle >= days:
            yield Removable(kind, what, path, _size(path), idle)
    except FileNotFoundError:  # removed by another process
        return


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _cache() -> Path:
    return settings().cache.expanduser().absolute()
