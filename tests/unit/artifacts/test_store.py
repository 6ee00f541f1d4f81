"""Kept weights: whole or not there, the newest attempt's count, and what nobody needs is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hpo.artifacts import store
from hpo.errors import ArtifactError
from hpo.settings import settings

WHOSE = {"study": "s", "database": "here"}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_ARTIFACTS", str(tmp_path / "artifacts"))
    settings.cache_clear()


def _keep(number: int, token: int, value: float = 1.0) -> Path:
    weights = {"conv.weight": torch.full((2, 3, 2, 2), value).to(memory_format=torch.channels_last)}
    return store.save("uid", number, token, weights, {"trial": number, "value": value}, WHOSE)


def test_what_comes_back_is_what_went_in() -> None:
    folder = _keep(3, 1, 0.25)
    assert folder == settings().artifacts / "uid" / "trial-3-1"
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "trial.json"}
    assert store.find("uid", 3) == folder
    found = store.load(folder)
    assert (found.document["trial"], found.document["value"]) == (3, 0.25)
    assert torch.equal(found.weights["conv.weight"], torch.full((2, 3, 2, 2), 0.25))
    assert list(store.studies()) == [(folder.parent, WHOSE)]


def test_what_is_not_kept_is_not_found() -> None:
    assert store.find("uid", 3) is None
    _keep(13, 1)
    assert store.find("uid", 3) is None


def test_the_newest_attempts_count_even_if_an_older_one_writes_later() -> None:
    newer = _keep(3, 10, 2.0)
    _keep(3, 9, 1.0)
    assert store.find("uid", 3) == newer


def test_the_same_attempts_are_replaced() -> None:
    _keep(3, 1, 1.0)
    assert float(store.load(_keep(3, 1, 2.0)).weights["conv.weight"].mean()) == 2.0
    assert len(store.trial_folders("uid")) == 1


def test_half_written_weights_are_ignored_and_removed_after_the_trial() -> None:
    half = settings().artifacts / "uid" / ".trial-3-1.abc.tmp"
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_bytes(b"half")
    assert store.find("uid", 3) is None
    found = store.trial_folders("uid")
    assert store.stale(found, unfinished={3}, wanted={}) == []
    assert [each.path for each in store.stale(found, unfinished=set(), wanted={})] == [half]


def test_only_wanted_and_unfinished_ones_stay() -> None:
    for number, token in [(0, 1), (1, 1), (1, 2), (2, 4), (3, 1)]:
        _keep(number, token)
    found = store.trial_folders("uid")
    store.remove(store.stale(found, unfinished={3}, wanted={1: 2}))
    assert [(each.number, each.token) for each in store.trial_folders("uid")] == [(1, 2), (3, 1)]


@pytest.mark.parametrize(
    ("name", "content", "flaw"),
    [
        ("weights.safetensors", b"short", "does not match its checksum"),
        ("trial.json", b"{", "is damaged"),
        ("trial.json", b"[]", "is damaged"),
        ("weights.safetensors", None, "cannot be read: No such file"),
    ],
)
def test_damage_is_reported(name: str, content: bytes | None, flaw: str) -> None:
    folder = _keep(3, 1)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=flaw):
        store.load(folder)


def test_a_future_version_is_refused_by_its_number() -> None:
    folder = _keep(3, 1)
    document = json.loads((folder / "trial.json").read_text())
    (folder / "trial.json").write_text(json.dumps({**document, "format": 2}))
    with pytest.raises(ArtifactError, match="has format 2; this version of hpo reads format 1"):
        store.load(folder)


def test_a_disk_that_does_not_take_them_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("in the way")
    with pytest.raises(OSError, match="Not a directory"):
        _keep(3, 1)


def test_find_names_a_folder_that_cannot_be_read() -> None:
    settings().artifacts.mkdir()
    (settings().artifacts / "uid").touch()  # no folder: as unreadable for root as for others
    with pytest.raises(ArtifactError, match=r"/uid cannot be read: Not a directory \(\$HPO_ARTIFACTS\)"):
        store.find("uid", 3)
