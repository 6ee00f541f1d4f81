"""Each fact is declared once: tables, views, events and JSON follow from the fields of the records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any

import pytest
from sqlalchemy import Table

from hpo.events import EpochDone, as_dict
from hpo.records import (
    EpochResult,
    Finding,
    LayerStatistics,
    Remedy,
    StudyFinding,
    stored,
    stored_as,
    stored_fields,
)
from hpo.storage import views
from hpo.storage.column_types import Finite
from hpo.storage.record_columns import columns_of, record_of, row_of
from hpo.storage.tables import EPOCHS, FINDINGS, LAYERS, STUDY_FINDINGS
from hpo.storage.views import VIEW_TABLES

RECORDS: list[tuple[type, Table, str, set[str]]] = [
    (EpochResult, EPOCHS, "curves", {"trial_id", "ended_at"}),
    (LayerStatistics, LAYERS, "layers", {"trial_id"}),
    (Finding, FINDINGS, "findings", {"trial_id", "id"}),
    (StudyFinding, STUDY_FINDINGS, "study_findings", {"study_id", "position", "trials_seen", "made_at"}),
]


def _columns(record: type) -> set[str]:
    return {column.name for column in columns_of(record)}


@pytest.mark.parametrize(("record", "table", "view", "own"), RECORDS)
def test_table_has_exactly_the_fields_of_its_record(
    record: type, table: Table, view: str, own: set[str]
) -> None:
    assert set(table.c.keys()) - own == _columns(record)


@pytest.mark.parametrize(("record", "table", "view", "own"), RECORDS)
def test_view_has_every_field_of_its_record(record: type, table: Table, view: str, own: set[str]) -> None:
    assert _columns(record) <= set(VIEW_TABLES[view].c.keys())


def test_json_of_an_epoch_has_every_field_of_its_result() -> None:
    result = EpochResult(1, 2.0, 0.3, 2.1, 0.25, 0.1, 1.5, 3000, 2000.0)
    line = as_dict(EpochDone("w", 3, 10, result))
    assert {name: line[name] for name in ("worker", "number", "epochs")} == {
        "worker": "w",
        "number": 3,
        "epochs": 10,
    }
    own = {"worker", "number", "epochs", "objective"}
    assert set(line) - own == {each.name for each in fields(EpochResult)}


@dataclass(frozen=True)
class _Wider(EpochResult):
    """A copy of the record with one more number."""

    gradient_noise: float = field(default=math.nan, metadata=stored_as("noise"))


def test_new_field_becomes_a_column_of_the_table() -> None:
    new = {column.name: column for column in columns_of(_Wider)}["noise"]
    assert isinstance(new.type, Finite)
    assert new.nullable


def test_new_field_becomes_a_column_of_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "EpochResult", _Wider)
    assert "\n    e.noise,\n" in views.select_text("curves", "sqlite")


def test_new_field_reaches_json_and_comes_back_from_its_row() -> None:
    result = _Wider(1, 2.0, 0.3, 2.1, 0.25, 0.1, 1.5, 3000, 2000.0, gradient_noise=0.5)
    assert as_dict(EpochDone("w", 3, 10, result))["gradient_noise"] == 0.5
    assert row_of(result)["noise"] == 0.5
    assert record_of(_Wider, row_of(result)) == result


def test_field_in_memory_is_not_stored() -> None:
    assert {"nonlinearity", "weight_norm", "constant_outputs", "two_signed"}.isdisjoint(
        stored_fields(LayerStatistics)
    )
    assert {"cause", "confidence"}.isdisjoint(stored_fields(Finding))


def test_stored_finding_has_its_remedy_as_text() -> None:
    finding = Finding("learned", "warn", 0.1, 0.5, "no", Remedy("more", {"lr": 0.1}), cause="underfit")
    assert stored(finding) == {
        "check": "learned",
        "severity": "warn",
        "value": 0.1,
        "threshold": 0.5,
        "message": "no",
        "remedy": "more",
        "step": 0,
        "layer": "",
        "epoch": 0,
    }
    assert row_of(finding)["check_name"] == "learned"


def test_row_of_nulls_comes_back_as_nan_and_empty() -> None:
    nothing: dict[str, Any] = dict.fromkeys(stored_fields(LayerStatistics).values())
    layer = record_of(LayerStatistics, nothing | {"layer": "conv", "step": 3, "epoch": 1, "position": 0})
    assert (layer.name, layer.step, layer.counts) == ("conv", 3, ())
    assert math.isnan(layer.std)


def test_whole_number_needs_a_value() -> None:
    counted = make_dataclass("counted", [("images", int)])
    (column,) = columns_of(counted)
    assert not column.nullable
