"""Processes killed with SIGKILL while they decode a folder: the next one finishes the same cache."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from hpo.config.image_format import ImageFormat
from hpo.data.cache import cached
from hpo.data.folder import folder_source
from tests.unit.data.conftest import MakeClass

FORM = ImageFormat(24, 32, 3)
KILLED = """
import os, signal, sys
from pathlib import Path
from hpo.config.image_format import ImageFormat
from hpo.data import cache, folder

images, root, place, passes = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
module = folder if place == "decode_images" else cache
before, left = getattr(module, place), [passes]

def until_killed(*arguments):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*arguments)

setattr(module, place, until_killed)
folder._CHUNK = 4
cache.cached(folder.folder_source(images, ImageFormat(24, 32, 3)), root)
"""


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of a cache below its folder, hidden ones too, but for locks."""
    files = (path for path in (root / "datasets").rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_killed_decoding_is_finished_by_the_next(tmp_path: Path, make_class: MakeClass) -> None:
    images, root = tmp_path / "images", tmp_path / "cache"
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        make_class(images / name, 7, (40, 30))
    for place, passes in (("decode_images", 3), ("decode_images", 6), ("_publish", 1)):
        command = [sys.executable, "-c", KILLED, str(images), str(root), place, str(passes)]
        killed = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert any((root / "datasets").glob(".*.tmp/*"))
        assert not any((root / "datasets").glob("[!.]*"))
    again = cached(folder_source(images, FORM), root)
    undisturbed = cached(folder_source(images, FORM), tmp_path / "other")
    assert contents(root) == contents(tmp_path / "other")
    assert again.meta.fingerprint == undisturbed.meta.fingerprint
    assert again.arrays["train_images"].shape == (14, 3, 24, 32)
