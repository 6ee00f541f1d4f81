"""Checkpoint files: complete or not used, the last two kept; and disks that do not take them."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.training.checkpoint_files import Checkpoint, Checkpoints, remove_checkpoints, slot_folder
from hpo.trial.checkpoint import TorchCodec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return slot_folder(tmp_path, "uid", "main", 3)


@pytest.fixture
def saved(folder: Path) -> Iterator[Checkpoints]:
    with_token = Checkpoints(folder, token=1, codec=TorchCodec())
    yield with_token
    with_token.close()


def _checkpoint(step: int, size: int = 100) -> Checkpoint:
    weights = torch.arange(size, dtype=torch.float32) + step
    moments = {
        "state": {0: {"step": torch.tensor(2.0), "exp_avg": weights / 3}},
        "param_groups": [{"lr": 0.1}],
    }
    return Checkpoint(
        step, {"trial": {"loss": float("nan"), "at": step}}, {"model": weights, "optimizer": moments}
    )


def _save(saved: Checkpoints, *steps: int) -> None:
    for step in steps:
        saved.save(_checkpoint(step))
    saved.wait()


def _load(folder: Path) -> tuple[list[Checkpoint], list[tuple[int, str]]]:
    refused: list[tuple[int, str]] = []
    opened = Checkpoints(folder, token=9, codec=TorchCodec())
    found = list(opened.newest_first(lambda step, flaw: refused.append((step, flaw))))
    opened.close()
    return found, refused


def test_what_comes_back_is_what_went_in(saved: Checkpoints, folder: Path) -> None:
    _save(saved, 7)
    (found,), refused = _load(folder)
    assert refused == [] and found.step == 7
    assert (
        found.document["trial"]["at"] == 7
        and found.document["trial"]["loss"] != found.document["trial"]["loss"]
    )
    assert torch.equal(found.tensors["model"], torch.arange(100.0) + 7)
    assert torch.equal(found.tensors["optimizer"]["state"][0]["exp_avg"], (torch.arange(100.0) + 7) / 3)
    assert found.tensors["optimizer"]["param_groups"] == [{"lr": 0.1}]


def test_memory_order_of_tensors_is_kept(saved: Checkpoints, folder: Path) -> None:
    """Sums over a tensor depend on it in their last bits."""
    weights = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    saved.save(Checkpoint(1, {}, {"w": weights}))
    saved.wait()
    assert _load(folder)[0][0].tensors["w"].stride() == weights.stride()


def test_tensors_may_change_as_soon_as_save_returns(saved: Checkpoints, folder: Path) -> None:
    weights = torch.zeros(10)
    saved.save(Checkpoint(1, {}, {"w": weights}))
    weights += 1
    saved.wait()
    assert float(_load(folder)[0][0].tensors["w"].sum()) == 0.0


def test_the_last_two_are_kept_newest_first(saved: Checkpoints, folder: Path) -> None:
    _save(saved, 10, 20, 30)
    assert [each.step for each in _load(folder)[0]] == [30, 20]
    assert len(list(folder.iterdir())) == 4


def test_a_worker_that_lost_its_slot_does_not_come_before_the_new_one(
    saved: Checkpoints, folder: Path
) -> None:
    newer = Checkpoints(folder, token=2, codec=TorchCodec())
    _save(newer, 20, 30)
    newer.close()
    _save(saved, 40)
    assert [each.step for each in _load(folder)[0]] == [30, 20]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("suffix", "damage", "flaw"),
    [
        (".pt", _truncate, "is damaged: its tensors do not match their checksum"),
        (".pt", _flip_a_bit, "is damaged: its tensors do not match their checksum"),
        (".pt", _empty, "is damaged: its tensors do not match their checksum"),
        (".pt", _remove, "cannot be read: No such file or directory"),
        (".json", _truncate, "is damaged: its document is not JSON"),
        (".json", _empty, "is damaged: its document is not JSON"),
        (".json", _flip_a_bit, "is damaged: "),
    ],
)
def test_a_damaged_one_is_refused_and_the_one_before_it_used(
    saved: Checkpoints, folder: Path, suffix: str, damage: Callable[[Path], None], flaw: str
) -> None:
    _save(saved, 10, 20)
    damage(max(folder.glob(f"*{suffix}")))
    found, ((step, said),) = _load(folder)
    assert [each.step for each in found] == [10]
    assert step == 20 and said.startswith(flaw)


def test_each_bit_of_a_document_is_under_the_checksum(saved: Checkpoints, folder: Path) -> None:
    _save(saved, 10)
    path = max(folder.glob("*.json"))
    whole = path.read_bytes()
    assert len(whole) > 100
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        found, refused = _load(folder)
        assert found == [] and len(refused) == 1, place


def test_a_future_version_is_refused_by_its_number(saved: Checkpoints, folder: Path) -> None:
    _save(saved, 10, 20)
    path = max(folder.glob("*.json"))
    rest = path.read_bytes().partition(b"\n")[2].replace(b'"format": 2', b'"format": 3')
    path.write_bytes(b'{"sha256": "%s",\n' % hashlib.sha256(rest).hexdigest().encode() + rest)
    assert json.loads(path.read_bytes())["format"] == 3
    found, refused = _load(folder)
    assert [each.step for each in found] == [10]
    assert refused == [(20, "has format 3; this version of hpo reads format 2")]


def test_code_in_a_checkpoint_is_not_run(folder: Path, tmp_path: Path) -> None:
    """Tensors are read with weights_only: a file with a right checksum is refused all the same."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path}/ran",)

    saved = Checkpoints(folder, token=1, codec=TorchCodec())
    saved.save(Checkpoint(1, {}, {"w": Evil()}))
    saved.close()
    found, refused = _load(folder)
    assert found == [] and refused[0][1].startswith("is damaged: ")
    assert not (tmp_path / "ran").exists()


def test_what_killed_writers_left_is_removed(saved: Checkpoints, folder: Path) -> None:
    _save(saved, 10)
    (folder / ".000001-0000000020-00000002.pt.abc.tmp").write_bytes(b"half")
    (folder / "000001-0000000020-00000002.pt").write_bytes(b"no document follows")
    assert [each.step for each in _load(folder)[0]] == [10]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("kill_at", [1, 2])
def test_kill_while_saving_the_same_step_again_damages_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    """As within the evaluation after an epoch's last step, and at its end."""
    worker = Checkpoints(folder, token=1, codec=TorchCodec())
    _save(worker, 10, 20)
    passes = []

    def killed(point: str) -> None:
        passes.append(point)
        if passes.count("checkpoint.replace") == kill_at:
            raise SystemExit  # nothing after it happens

    with monkeypatch.context() as patch:
        patch.setattr("hpo.files.fault_point", killed)
        worker.save(_checkpoint(20, size=50))
        with pytest.raises(SystemExit):
            worker.close()
    found, refused = _load(folder)
    assert ([each.step for each in found], refused) == ([20, 10], [])


def test_of_one_step_the_last_comes_first(saved: Checkpoints, folder: Path) -> None:
    for size in (10, 20, 30):
        saved.save(_checkpoint(10, size))
    saved.wait()
    found, refused = _load(folder)
    assert ([len(each.tensors["model"]) for each in found], refused) == ([30, 20], [])


def test_a_checkpoint_replaced_meanwhile_is_not_reported_as_damaged(saved: Checkpoints, folder: Path) -> None:
    """A worker that lost its slot without knowing it may still save."""
    _save(saved, 10, 20)
    refused: list[tuple[int, str]] = []
    found = Checkpoints(folder, token=2, codec=TorchCodec()).newest_first(
        lambda step, flaw: refused.append((step, flaw))
    )
    assert next(found).step == 20
    _save(saved, 30, 40)
    assert (list(found), refused) == ([], [])


def test_removing_leaves_nothing_of_the_study_but_other_slots(saved: Checkpoints, folder: Path) -> None:
    other = Checkpoints(folder.with_name("main-4"), token=1, codec=TorchCodec())
    _save(saved, 10)
    _save(other, 10)
    saved.close()
    other.close()
    remove_checkpoints(folder)
    assert not folder.exists() and folder.parent.exists()
    remove_checkpoints(folder.with_name("main-4"))
    assert not folder.parent.exists()


def test_a_full_disk_is_reported_and_leaves_the_last_checkpoint(saved: Checkpoints, folder: Path) -> None:
    _save(saved, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        saved.save(_checkpoint(20, size=100_000))
        saved.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert saved.problem == f"{folder}: File too large"
    found, refused = _load(folder)
    assert [each.step for each in found] == [10] and refused == []
    assert not list(folder.glob(".*.tmp"))


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    saved = Checkpoints(tmp_path / "file" / "uid" / "main-0", token=1, codec=TorchCodec())
    _save(saved, 10)
    assert saved.problem.endswith("Not a directory")
    saved.close()
    remove_checkpoints(tmp_path / "file" / "uid" / "main-0")
