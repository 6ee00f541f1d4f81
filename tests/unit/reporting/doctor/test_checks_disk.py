"""What is said of the places for checkpoints, kept weights and an SQLite database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo.reporting.doctor import checks as module
from hpo.reporting.doctor.checks import disk
from hpo.settings import settings

SERVER = "postgresql://me@host/x"


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CHECKPOINTS", str(tmp_path / "new" / "checkpoints"))
    monkeypatch.setenv("HPO_ARTIFACTS", str(tmp_path / "kept"))
    settings.cache_clear()


def _free(monkeypatch: pytest.MonkeyPatch, room: float) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=room))


def test_places_on_one_disk_are_told_together_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free(monkeypatch, 12.34e9)
    found = disk(f"sqlite:///{tmp_path}/hpo.db")
    assert found.condition == "ok"
    assert found.message == (
        "12.3 GB are free for checkpoints ($HPO_CHECKPOINTS), kept weights ($HPO_ARTIFACTS), the database"
    )
    assert list(tmp_path.iterdir()) == []
    assert "database" not in disk(SERVER).message


def test_little_room_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 0.4e9)
    found = disk(SERVER)
    assert (found.condition, found.message[:17]) == ("warning", "0.4 GB are free f")
    assert "hpo db prune" in found.remedy


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a file where a folder should be")
    found = disk(SERVER)
    assert found.condition == "warning"
    assert (
        found.message
        == f"checkpoints ($HPO_CHECKPOINTS): {tmp_path / 'new'} is no folder that can be written"
    )
    assert "set" in found.remedy


def test_a_url_that_is_none_is_left_to_its_own_line() -> None:
    assert "the database" not in disk("nonsense").message
