"""The cache of decoded images: built once, complete or absent, rebuilt when damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.data.cache import Bytes, Cached, Decoded, DecodedSplit, Source, cached, source_signature
from hpo.errors import DataError

CLASSES = ("cat", "dog")
LABELS = np.arange(5, dtype=np.int64) % 2
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), np.uint8)


def chunks() -> Iterator[Bytes]:
    yield IMAGES[:3]
    yield IMAGES[3:]


def decode() -> Decoded:
    return Decoded(DecodedSplit(LABELS, chunks()), DecodedSplit(LABELS[:3], iter([IMAGES[:3]])))


def never() -> Decoded:
    pytest.fail("decoded again")


def source(decode: Callable[[], Decoded] = decode, mark: str = "a") -> Source:
    return Source("pets", CLASSES, 8, "a test", source_signature([mark]), decode)


def folder_of(root: Path) -> Path:
    (found,) = (path for path in (root / "datasets").iterdir() if path.is_dir())
    return found


def check(found: Cached) -> None:
    assert np.array_equal(found.arrays["train_images"], IMAGES)
    assert np.array_equal(found.arrays["train_labels"], LABELS)
    assert np.array_equal(found.arrays["test_images"], IMAGES[:3])
    assert np.array_equal(found.arrays["test_labels"], LABELS[:3])


def test_arrays_are_read_only_maps_of_what_was_decoded(tmp_path: Path) -> None:
    found = cached(source(), tmp_path)
    check(found)
    assert len(found.arrays) == 4
    for array in found.arrays.values():
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_fingerprint_is_the_hash_of_the_contents(tmp_path: Path) -> None:
    parts = [json.dumps(CLASSES).encode()]
    for name, labels, images in (("train", LABELS, IMAGES), ("test", LABELS[:3], IMAGES[:3])):
        parts += [f"{name} {len(labels)}".encode(), labels.tobytes(), images.tobytes()]
    expected = hashlib.sha256(b"".join(parts)).hexdigest()
    assert cached(source(), tmp_path).meta.fingerprint == expected


def test_decoded_once(tmp_path: Path) -> None:
    cached(source(), tmp_path)
    check(cached(source(never), tmp_path))


def test_another_signature_is_another_cache(tmp_path: Path) -> None:
    cached(source(), tmp_path)
    cached(source(mark="b"), tmp_path)
    assert sum(path.is_dir() for path in (tmp_path / "datasets").iterdir()) == 2


def truncate(folder: Path) -> None:
    os.truncate(folder / "train_images.npy", 5000)


def overwrite(folder: Path) -> None:
    path = folder / "train_labels.npy"
    path.write_bytes(bytes(path.stat().st_size))


def swap(folder: Path) -> None:
    shutil.copy(folder / "train_images.npy", folder / "test_images.npy")


def empty_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("")


def lose_meta(folder: Path) -> None:
    (folder / "meta.json").unlink()


def lose_images(folder: Path) -> None:
    (folder / "train_images.npy").unlink()


def age(folder: Path) -> None:
    path = folder / "meta.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 0'))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncate, "train_images.npy does not match meta.json"),
        (overwrite, "train_labels.npy does not match meta.json"),
        (swap, "test_images.npy does not match meta.json"),
        (empty_meta, "meta.json cannot be read"),
        (lose_meta, ""),
        (lose_images, "train_images.npy is missing"),
        (age, "its format is 0, this version writes 1"),
    ],
)
def test_a_damaged_cache_is_rebuilt_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None], said: str
) -> None:
    cached(source(), tmp_path)
    harm(folder_of(tmp_path))
    check(cached(source(), tmp_path))
    assert said in caplog.text
    assert str(folder_of(tmp_path)) in caplog.text or not said
    check(cached(source(never), tmp_path))


def test_maps_of_a_damaged_cache_survive_its_replacement(tmp_path: Path) -> None:
    old = cached(source(), tmp_path)
    lose_meta(folder_of(tmp_path))
    cached(source(), tmp_path)
    check(old)


def test_too_little_room_is_known_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(free=20_000))
    big = Source("pets", CLASSES, 60_000, "a test", source_signature(["a"]), never)
    with pytest.raises(
        DataError, match=r"disk is full \(0 MB are free\).* needs 185 MB at .*pets.*\n.*HPO_CACHE"
    ):
        cached(big, tmp_path)
    assert [path.name for path in (tmp_path / "datasets").iterdir() if path.suffix != ".lock"] == []


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path) -> None:
    def decode_until_full() -> Iterator[Bytes]:
        yield IMAGES[:3]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = source(
        lambda: Decoded(
            DecodedSplit(LABELS, decode_until_full()), DecodedSplit(LABELS[:3], iter([IMAGES[:3]]))
        )
    )
    with pytest.raises(DataError, match=r"disk is full .*the image cache needs 0 MB at .*datasets.pets-"):
        cached(full, tmp_path)
    assert [path.name for path in (tmp_path / "datasets").iterdir() if path.suffix != ".lock"] == []
    check(cached(source(), tmp_path))


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the image cache .*Not a directory\n.*HPO_CACHE"):
        cached(source(), tmp_path / "file")


BUILDER = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_cache as t

def slow():
    yield t.IMAGES[:3]
    Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[3]))
    yield t.IMAGES[3:]

test = t.DecodedSplit(t.LABELS[:3], iter([t.IMAGES[:3]]))
parts = lambda: t.Decoded(t.DecodedSplit(t.LABELS, slow()), test)
print(t.cached(t.source(parts), Path(sys.argv[1])).meta.fingerprint)
"""


def start_builder(root: Path, begun: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILDER, str(root), str(begun), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


@pytest.mark.parametrize("lockable", [True, False])
def test_processes_that_build_at_once_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lockable: bool
) -> None:
    if not lockable:
        monkeypatch.setattr("hpo.files._flock", lambda _: False)
    root, begun = tmp_path / "cache", tmp_path / "begun"
    with start_builder(root, begun, 0.2) as builder:
        wait_for(begun)
        found = cached(source(never if lockable else decode), root)
        assert builder.stdout is not None
        assert builder.stdout.read().strip() == found.meta.fingerprint
    assert builder.returncode == 0
    check(cached(source(never), root))


def test_what_a_killed_builder_left_is_removed(tmp_path: Path) -> None:
    root, begun = tmp_path / "cache", tmp_path / "begun"
    with start_builder(root, begun, 600) as builder:
        wait_for(begun)
        builder.send_signal(signal.SIGKILL)
    assert list((root / "datasets").glob(".*.tmp"))
    check(cached(source(), root))
    assert not list((root / "datasets").glob(".*.tmp"))
