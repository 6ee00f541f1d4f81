"""Checkpoint files of a slot's trial, from which any worker resumes. A checkpoint is complete or not used.

It is two files: tensors, and a JSON document with the checksums of both, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hpo.errors import CheckpointError
from hpo.files import atomic_file, sync_folder
from hpo.testing.faults import fault_point

FORMAT = 2
KEPT = 2
"""The second one is used if the newest is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved after ``step`` steps."""

    step: int
    document: dict[str, Any]
    """Values that JSON can hold, and non-finite floats."""
    tensors: dict[str, Any]
    """What the codec of the checkpoints can encode."""


class Codec(Protocol):
    """How the tensors of a checkpoint become bytes."""

    def dump(self, tensors: dict[str, Any]) -> bytes:
        """Return the tensors as bytes."""

    def load(self, content: bytes) -> dict[str, Any]:
        """Return the tensors that ``dump`` was given. Raises ``CheckpointError``."""


Refuse = Callable[[int, str], None]
"""Called for a checkpoint that cannot be used, with its step and the reason."""


def slot_folder(root: Path, study_uid: str, stage: str, slot: int) -> Path:
    """Return the folder of a slot's checkpoints, the same for all workers."""
    return root / study_uid / f"{stage}-{slot}"


def remove_study_checkpoints(root: Path, study_uid: str) -> None:
    """Remove the checkpoints of a study that is over."""
    shutil.rmtree(root / study_uid, ignore_errors=True)


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a slot whose trial has ended."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # other trials of the study have theirs there
        folder.parent.rmdir()


class Checkpoints:
    """The checkpoints in ``folder``, for the worker that holds the slot with ``token``.

    ``save`` serializes at once and writes in the background. A disk that is full or read-only does not raise;
    ``problem`` describes it. Newer tokens come first, so that a worker that lost its slot without noticing
    changes nothing.
    """

    def __init__(self, folder: Path, token: int, codec: Codec) -> None:
        self.problem = ""
        """Why a checkpoint was not written (the first such failure); empty if all were."""
        self._folder = folder
        self._token = token
        self._codec = codec
        self._saves = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint. Waits only for the previous save; its tensors may change afterwards."""
        tensors = self._codec.dump(checkpoint.tensors)
        sealed = {"format": FORMAT, "tensors_sha256": _sha256(tensors)}
        text = _encode({**sealed, **checkpoint.document})
        self.wait()
        # One step may be saved several times. No file is ever overwritten: a worker killed between the two
        # files would leave the tensors of one save with the document of another.
        self._saves += 1
        name = f"{self._token:06d}-{checkpoint.step:010d}-{self._saves:08d}"
        self._writing = self._writer.submit(self._write, name, text, tensors)

    def wait(self) -> None:
        """Return once the last save is on the disk, or has failed."""
        if self._writing is None:
            return
        try:
            self._writing.result()
        except OSError as error:
            self.problem = self.problem or f"{self._folder}: {error.strerror or error}"
        self._writing = None

    def close(self) -> None:
        """Wait for the last save, and stop the writer thread."""
        self.wait()
        self._writer.shutdown()

    def newest_first(self, refuse: Refuse) -> Iterator[Checkpoint]:
        """Yield the usable checkpoints; also remove what killed workers left half written."""
        self._sweep()
        for path in self._documents():
            step = _order(path)[1]
            try:
                yield self._load(path, step)
            except CheckpointError as error:
                # A worker that lost its slot without noticing may have replaced it meanwhile.
                if path.exists():
                    refuse(step, str(error))

    def _write(self, name: str, text: bytes, tensors: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in (("pt", tensors), ("json", text)):
            with atomic_file(self._folder / f"{name}.{suffix}", faults="checkpoint") as file:
                file.write(content)
        sync_folder(self._folder)
        fault_point("checkpoint.replaced")
        for path in self._documents()[KEPT:]:
            path.unlink(missing_ok=True)
            path.with_suffix(".pt").unlink(missing_ok=True)

    def _load(self, path: Path, step: int) -> Checkpoint:
        try:
            document = _decode(path.read_bytes())
            tensors = path.with_suffix(".pt").read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot be read: {error.strerror or error}") from error
        if _sha256(tensors) != document["tensors_sha256"]:
            raise CheckpointError("is damaged: its tensors do not match their checksum")
        return Checkpoint(step, document, self._codec.load(tensors))

    def _documents(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*-[0-9]*-[0-9]*.json"), key=_order, reverse=True)

    def _sweep(self) -> None:
        for path in self._folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for path in self._folder.glob("*.pt"):
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)


def _order(path: Path) -> tuple[int, int, int]:
    token, step, save = path.stem.split("-")
    return int(token), int(step), int(save)


def _encode(document: Mapping[str, Any]) -> bytes:
    """Encode the document with one line per key; the first is the checksum of all others."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, default=_plain)}" for key, value in document.items()]
    rest = (",\n".join(lines) + "\n}\n").encode()
    return f'{{"sha256": "{_sha256(rest)}",\n'.encode() + rest


def _decode(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
        version, checksum = document["format"], document["sha256"]
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointError("is damaged: its document is not JSON") from error
    if version != FORMAT:
        raise CheckpointError(f"has format {version}; this version of hpo reads format {FORMAT}")
    if _sha256(content.partition(b"\n")[2]) != checksum:
        raise CheckpointError("is damaged: its document does not match its checksum")
    return dict(document)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored in a checkpoint's document")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
