"""What is said of CIFAR-10 and of the folder for decoded images."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo.reporting.doctor import checks
from hpo.settings import settings


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "new" / "cache"))
    monkeypatch.setattr("hpo.data.datasets.why_not_downloadable", lambda seconds: "no route to host")
    settings.cache_clear()


def test_without_cifar10_studies_run_on_drawn_pictures_and_the_ways_to_get_it_are_told(
    tmp_path: Path,
) -> None:
    found = checks.cifar10()
    assert found.condition == "warning"
    assert "no route to host" in found.message
    assert [line.split(".")[0].strip() for line in found.remedy.splitlines()] == ["1", "2", "3"]
    assert str(tmp_path / "data") in found.remedy


@pytest.mark.parametrize(
    ("made", "form"),
    [("cifar10/train", "as image files"), ("cifar-10-batches-py", "as downloaded")],
)
def test_its_form_is_told(made: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "data" / made).mkdir(parents=True)
    found = checks.cifar10()
    assert (found.condition, found.message.rpartition(", ")[2]) == ("ok", form)


def test_a_server_that_answers_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.data.datasets.why_not_downloadable", lambda seconds: None)
    found = checks.cifar10()
    assert found.condition == "ok"
    assert "170 MB are downloaded once" in found.message


def test_the_cache_is_described(tmp_path: Path) -> None:
    assert "no decoded images yet" in checks.cache().message
    folder = tmp_path / "new" / "cache" / "datasets" / "cifar10-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{}")
    found = checks.cache()
    assert found.condition == "ok"
    assert "holds cifar10; " in found.message


def test_little_room_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=1e8))
    found = checks.cache()
    assert found.condition == "warning"
    assert "0.1 GB of disk are free" in found.message
    assert "$HPO_CACHE" in found.remedy


def test_a_cache_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a file where a folder should be")
    found = checks.cache()
    assert found.condition == "problem"
    assert f"{tmp_path / 'new'} cannot be written" in found.message
