"""The file: a zip of JSON Lines with a manifest that has the length and SHA-256 of every part.

Every language reads zip and JSON; a schema dump or an SQLite file would tie the reader to one engine's types.
A part is written while it is read, so its size does not matter.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ValidationError

from hpo.errors import StudyExportError
from hpo.provenance import DISTRIBUTION
from hpo.storage.revision import HEAD

FORMAT = "hpo-study"
VERSION = 1
MANIFEST = "manifest.json"
_README = "README.txt"
_README_TEXT = """\
A study that `hpo export-study` wrote. `hpo import-study FILE` puts it into a database again; nothing but an
unzipper and JSON is needed to read it.

manifest.json      what this is, and each part's rows, bytes and SHA-256
optuna_study.jsonl the study as Optuna has it: name, directions, attributes
optuna_trials.jsonl its trials: state, values, times (UTC), parameters with their distributions, attributes
hpo_*.jsonl        the rows of hpo's tables of that name; "trial" is the trial's number
blobs/SHA256       binary columns, which a row names by {"sha256": ...}; those of hpo_statistics are tensors
                   in safetensors format

One JSON object a line. A float that is not finite is {"$float": "NaN"}, "Infinity" or "-Infinity"; an object
whose one key begins with $ is wrapped: {"$literally": {...}}. Times are UTC in ISO 8601.
"""
# What `zipfile` raises for a file that is not a zip, a wrong checksum, an unknown method, an encrypted part.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_CHUNK = 1 << 20


class ArchivePart(BaseModel):
    """One file in the zip."""

    rows: int | None = None
    bytes: int
    sha256: str


class ArchiveManifest(BaseModel):
    """What the file is; ``written_schema`` is the revision of hpo's tables that its rows come from."""

    format: str
    version: int
    study: str
    written_by: str
    written_at: str
    written_schema: str
    parts: dict[str, ArchivePart]


class ArchiveWriter:
    """Writes parts one after another; ``finish`` adds the manifest."""

    def __init__(self, stream: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED)
        self._parts: dict[str, ArchivePart] = {}
        self._put(_README, [_README_TEXT.encode()])

    def rows(self, name: str, lines: Iterable[bytes]) -> int:
        """Write a part with one line per row; return the number of rows."""
        count = 0

        def counted() -> Iterator[bytes]:
            nonlocal count
            for line in lines:
                count += 1
                yield line

        part = self._put(name, counted())
        self._parts[name] = part.model_copy(update={"rows": count})
        return count

    def blob(self, content: bytes) -> str:
        """Write a binary part, once; return its SHA-256 (hex)."""
        name = hashlib.sha256(content).hexdigest()
        if f"blobs/{name}" not in self._parts:
            self._parts[f"blobs/{name}"] = self._put(f"blobs/{name}", [content])
        return name

    def finish(self, **about: str) -> None:
        """Write the manifest and close the zip."""
        manifest = ArchiveManifest(
            format=FORMAT, version=VERSION, written_schema=HEAD, parts=self._parts, **about
        )
        self._put(MANIFEST, [manifest.model_dump_json(indent=1, exclude_none=True).encode()])
        self._zip.close()

    def _put(self, name: str, chunks: Iterable[bytes]) -> ArchivePart:
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        digest, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=True) as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        return ArchivePart(bytes=size, sha256=digest.hexdigest())


class Archive:
    """An archive whose parts have all been checked against its manifest."""

    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = opened
        self.manifest = self._manifest()
        self._check_parts()

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a part; none if it does not exist."""
        if name in self.manifest.parts:
            with self._zip.open(name) as member:
                yield from member

    def blob(self, name: str) -> bytes:
        """Return a binary part by its SHA-256 (hex)."""
        return self._zip.read(f"blobs/{name}")

    def _manifest(self) -> ArchiveManifest:
        if MANIFEST not in self._zip.namelist():
            raise StudyExportError(f"{self.path} is a zip file, but not one that `hpo export-study` wrote")
        text = self._zip.read(MANIFEST)
        try:
            self._refuse_newer(json.loads(text))
            return ArchiveManifest.model_validate_json(text)
        except ValidationError as error:
            raise _damaged(self.path, f"{MANIFEST} cannot be read: {error.errors()[0]['msg']}") from None
        except ValueError as error:
            raise _damaged(self.path, f"{MANIFEST} cannot be read: {error}") from None

    def _refuse_newer(self, about: Any) -> None:
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise StudyExportError(f"{self.path} is a zip file, but not one that `hpo export-study` wrote")
        for what, found, known in (
            ("format", about.get("version"), VERSION),
            ("schema", about.get("written_schema"), HEAD),
        ):
            if type(found) is type(known) and found > known:
                raise StudyExportError(
                    f"a newer hpo wrote {self.path} ({what} {found}, this hpo reads {known}): "
                    f"update it with `pip install -U {DISTRIBUTION}`"
                )

    def _check_parts(self) -> None:
        found = set(self._zip.namelist()) - {MANIFEST, _README}
        if found != set(self.manifest.parts):
            odd = ", ".join(sorted(found ^ set(self.manifest.parts))[:3])
            raise _damaged(self.path, f"its parts are not those that its manifest lists ({odd})")
        for name, part in self.manifest.parts.items():
            digest, size = hashlib.sha256(), 0
            with self._zip.open(name) as member:
                while chunk := member.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
            if (size, digest.hexdigest()) != (part.bytes, part.sha256):
                raise _damaged(self.path, f"{name} is not what was written")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive, checked completely. Raises ``StudyExportError`` if it is damaged, altered or newer."""
    with ExitStack() as stack:
        with _read_errors(path):
            opened = stack.enter_context(zipfile.ZipFile(path))
            archive = Archive(path, opened)
        yield archive


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StudyExportError(f"cannot read {path}: {error.strerror or error}") from None
    except _BROKEN as error:
        raise _damaged(path, str(error) or type(error).__name__) from None


def _damaged(path: Path, why: str) -> StudyExportError:
    return StudyExportError(
        f"{path} is truncated, altered or not a study file ({why}); nothing was imported: export it again"
    )
