"""Which workers are there, anywhere, and what each is at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, select

from hpo.results.clock import epoch_now
from hpo.results.engine import reading
from hpo.results.query import KNOWN
from hpo.results.tables import SlotRow, StudyRow, WorkerRow


@dataclass(frozen=True)
class PresentWorker:
    """A worker process; ``study`` and ``number`` are those of the trial that it holds. Times in seconds."""

    worker: str
    device: str | None
    tags: tuple[str, ...]
    serves: tuple[str, ...]
    """The studies that it serves by name; empty for all."""
    code_version: str | None
    started_at: datetime | None
    """UTC."""
    study: str | None
    number: int | None
    epoch: int | None
    silent_seconds: float
    """Since its last sign: of itself, or of progress in its trial."""
    lease_seconds_left: float | None
    """None without a trial; below 0 another worker may take it."""


def present_workers(engine: Engine) -> list[PresentWorker]:
    """Workers that came and have not left, and those that hold a slot; by name."""
    with reading(engine) as connection:
        held = {row.worker: row for row in connection.execute(_held())}
        known = {row.worker: row for row in connection.execute(_known())}
    return [_present(name, known.get(name), held.get(name)) for name in sorted(held.keys() | known.keys())]


def _present(name: str, known: Any, held: Any) -> PresentWorker:
    silent = [each.silent for each in (known, held) if each is not None and each.silent is not None]
    return PresentWorker(
        worker=name,
        device=known.device if known else None,
        tags=tuple(known.tags) if known else (),
        serves=tuple(known.studies) if known else (),
        code_version=known.code_version if known else None,
        started_at=known.started_at if known else None,
        study=held.study if held else None,
        number=held.number if held else None,
        epoch=held.epoch if held else None,
        silent_seconds=max(0.0, min(silent, default=0.0)),
        lease_seconds_left=held.lease_left if held else None,
    )


def _known() -> Select[Any]:
    return select(WorkerRow.__table__, (epoch_now() - WorkerRow.seen_at).label("silent"))


def _held() -> Select[Any]:
    return (
        select(
            SlotRow.worker,
            StudyRow.name.label("study"),
            KNOWN.c.number,
            SlotRow.epoch,
            (epoch_now() - SlotRow.progress_at).label("silent"),
            (SlotRow.lease_until - epoch_now()).label("lease_left"),
        )
        .join(StudyRow, StudyRow.study_id == SlotRow.study_id)
        .outerjoin(KNOWN, KNOWN.c.trial_id == SlotRow.trial_id)
        .where(SlotRow.state == "running")
    )
