"""What tests of a study as a file share: writing one, and what a database shows of a study."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import NullPool, insert, text

from hpo.maintenance.transfer.exporting import export_study
from hpo.storage.engine import writing
from hpo.storage.store import ResultsStore
from hpo.storage.tables import CandidateRow, DecisionRow, RungRow, StageRow
from hpo.storage.url import parse_url
from hpo.storage.views import VIEWS


def add_a_stage(store: ResultsStore) -> None:
    """What a study with stages has besides, for the study `everything`."""
    with writing(store.engine) as connection:
        trial_id, study_id = connection.execute(
            text(
                "SELECT min(t.trial_id), t.study_id FROM hpo_trial AS t JOIN hpo_study AS s "
                "ON s.study_id = t.study_id WHERE s.name = 'everything' GROUP BY t.study_id"
            )
        ).one()
        key = {"study_id": study_id, "stage": "main"}
        searched = {"position": 1, "kind": "search", "trials": 8, "space": {"lr": {"log": [0.01, 1.0]}}}
        connection.execute(insert(StageRow).values(**key, **searched, fixed={}, made_at=datetime(2026, 1, 2)))
        decided = {"subject": "lr", "action": "narrowed", "message": "lr: 3 of 8", "evidence": {"best": 3}}
        connection.execute(insert(DecisionRow).values(**key, position=1, **decided))
        confirmed = {"candidate": 0, "trial_id": trial_id, "search_value": 0.5, "runs": 2, "mean": 0.45}
        connection.execute(insert(CandidateRow).values(**key, **confirmed, completed=2, rank=1))
        rung = {"trial_id": trial_id, "epoch": 1, "bracket": 0, "epochs": 3, "score": 0.3}
        passed = {"rank": 1, "compared": 2, "decision": "goes_on", "reason": "rank 1 of 2 at epoch 1"}
        connection.execute(insert(RungRow).values(**key, **rung, **passed))


def write_file(url: str, study: str, folder: Path) -> Path:
    path = folder / f"{study}.zip"
    with path.open("wb") as stream:
        export_study(url, study, stream)
    return path


@contextmanager
def optuna_storage(url: str) -> Iterator[RDBStorage]:
    location = parse_url(url).render_as_string(hide_password=False)
    storage = RDBStorage(location, engine_kwargs={"poolclass": NullPool})
    yield storage
    storage.engine.dispose()


def views(url: str, study: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a study in every view, in the values that both databases have."""
    rows: dict[str, list[dict[str, Any]]] = {}
    with ResultsStore(url) as store, store.engine.connect() as connection:
        for view in VIEWS:
            found = connection.execute(text(f"SELECT * FROM {view} WHERE study = :study"), {"study": study})
            values = [{name: _common(value) for name, value in row._mapping.items()} for row in found]
            rows[view] = sorted((_without_engine(row) for row in values), key=in_order)
    for row in rows.get("stages", ()):
        row["seconds"] = round(row["seconds"], 6)  # a sum, whose last digit depends on the order
    return rows


def in_order(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _without_engine(row: dict[str, Any]) -> dict[str, Any]:
    """Ids, and how many digits of a number the engine writes."""
    text_of_number = row.get("value_number") is not None
    row = {name: value for name, value in row.items() if name not in ("trial_id", "study_id")}
    return {**row, **({"value_text": None} if text_of_number else {})}


def _common(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:.*", value):
        return datetime.fromisoformat(value).isoformat()
    return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value


def expect_nothing_of_it(url: str) -> None:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        assert connection.scalars(text("SELECT study_name FROM studies")).all() == ["already-here"]
        assert connection.scalars(text("SELECT DISTINCT study FROM results")).all() == ["already-here"]
        assert connection.scalar(text("SELECT count(*) FROM trials")) == 6
