"""Pruning what is no longer needed on this machine and in the database."""

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
"""A temporary file this old has no active writer: downloading CIFAR-10 takes minutes."""


@dataclass(frozen=True)
class Removable:
    """Something that can be removed: ``path`` on this machine, or None for rows of the database."""

    kind: str
    what: str
    path: Path | None
    bytes: int
    idle_days: float | None
    """Since it was last used."""


Find: TypeAlias = Callable[[float], Iterator[Removable]]
"""Yields what has not been used for this number of days."""


def find_files(days: float) -> list[Removable]:
    """Return what can be removed from this machine's cache and temporary folders."""
    return [each for find in FILE_KINDS.values() for each in find(days)]


def find_rows(url: str) -> list[Removable]:
    """Return what can be removed from the database; only reads."""
    engine = results_engine(url)
    try:
        with reading(engine) as connection:
            return list(_rows(connection))
    finally:
        engine.dispose()


def find_weights(url: str) -> list[Removable]:
    """Return saved weights that are no longer needed: of a deleted study, or not of the best trials any more.

    Only folders that name this database: others may share the directory.
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
    now = trials_to_keep(connection, row.study_id, spec.kept_trials)
    for each in kept.stale(found, now.unfinished, now.best):
        what = f"weights of trial {each.number} of {study}, which is not one of its best {spec.kept_trials}"
        yield Removable("weights", what, each.path, _size(each.path), None)


def remove_files(removables: list[Removable]) -> int:
    """Remove them from the disk and return the bytes freed; ignores what is already gone."""
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
    """Delete from the database what ``find_rows`` returns."""

    def work(connection: Connection) -> None:
        orphans.delete_orphans(connection)
        connection.execute(delete(StatisticsRow).where(_unused()))

    with ResultsStore(url) as store:
        write(store.engine, work)


def _images(days: float) -> Iterator[Removable]:
    """Yield decoded data sets: recreated from the images when next needed."""
    for meta in _cache().glob("datasets/*/meta.json"):
        yield from _idle("images", f"decoded images {meta.parent.name}", meta.parent, meta, days)


def _precision(days: float) -> Iterator[Removable]:
    """Yield measurements of bf16 against fp32: repeated in two seconds when next needed."""
    for path in _cache().glob("precision-*.json"):
        yield from _idle("precision", f"a measurement of number formats {path.name}", path, path, days)


def _preprocessing(days: float) -> Iterator[Removable]:
    """Yield principal components, and the images whitened with them: recomputed when next needed."""
    for path in _cache().glob("components/*.npz"):
        yield from _idle("preprocessing", f"principal components {path.name}", path, path, days)
    for path in _cache().glob("preprocessed/*/images.npy"):
        name = path.parent.name
        yield from _idle("preprocessing", f"preprocessed images {name}", path.parent, path, days)


def _checkpoints(days: float) -> Iterator[Removable]:
    """Yield checkpoints of interrupted trials that no worker has resumed."""
    for folder in settings().checkpoints.absolute().glob("*"):
        # Rewritten at each checkpoint of a trial.
        newest = max(folder.glob("*"), key=lambda path: path.stat().st_mtime, default=folder)
        yield from _idle("checkpoints", f"checkpoints of study {folder.name}", folder, newest, days)


def _leftovers(_days: float) -> Iterator[Removable]:
    """Yield half-written files of killed processes, and the logs of workers whose run is over."""
    places = (_cache(), _cache() / "datasets", _cache() / "components", settings().data)
    for folder in (*places, *_cache().glob("preprocessed/*"), *kept.artifacts().glob("*")):
        for path in folder.glob(".*.tmp"):
            yield from _idle("leftovers", f"half-written {path.name}", path, path, _LEFTOVER_DAYS)
    for path in Path(tempfile.gettempdir()).glob("hpo-run-*"):
        if path.is_dir() and path.stat().st_uid == os.getuid():
            yield from _idle(
                "leftovers", f"logs of workers that died {path.name}", path, path, _LEFTOVER_DAYS
            )


# A new kind of file that can be judged without a database is one entry here.
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
        what = f"preprocessing statistics {digest[:12]} of study {name}, which no trial refers to"
        yield Removable("statistics", what, None, length, None)


def _unused() -> Any:
    used = select(TrialRow.trial_id).where(
        TrialRow.study_id == StatisticsRow.study_id, TrialRow.statistics_hash == StatisticsRow.hash
    )
    return ~used.exists()


def _idle(kind: str, what: str, path: Path, mark: Path, days: float) -> Iterator[Removable]:
    """Yield ``path`` if ``mark`` was not used for this number of days.

    Using an entry of the cache sets the modification time of its mark, as many disks keep no access times.
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
    return settings().cache.absolute()
