"""What lies in an exported folder, and that it is whole: every file that is used matches its checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

import hpo
from hpo.errors import ExportedFolderError

FORMAT = 1
MANIFEST = "manifest.json"
CARD = "README.md"
CONFIGURATION = "configuration.json"
LABELS = "labels.json"
METRICS = "metrics.json"
PREPROCESSING = "preprocessing.safetensors"
PROGRAM = "program.pt2"
WEIGHTS = "model.safetensors"


class Manifest(BaseModel):
    """What a folder says of itself; ``sha256`` has the checksum (hex) of each file that predictions need."""

    format: int
    hpo: str
    study: str
    trial: int
    created: datetime
    sha256: dict[str, str]


class ExportedFolder:
    """A folder that `hpo export` wrote; its manifest is read at once, its files when they are asked for.

    Raises ``ExportedFolderError`` for a folder that is none, is damaged, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _read_manifest(path)

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.sha256

    def read(self, name: str) -> bytes:
        """The content of a file, which is what was written."""
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise self.damaged(name, f"cannot be read: {error.strerror or error}") from error
        if self.manifest.sha256.get(name) != hashlib.sha256(content).hexdigest():
            raise self.damaged(name, f"does not match its checksum in {MANIFEST}")
        return content

    def damaged(self, name: str, why: str) -> ExportedFolderError:
        """The error for a file that cannot be used."""
        return ExportedFolderError(f"{self.path / name} {why}; export the trial again (`hpo export`)")


def write_sealed(path: Path, study: str, trial: int, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that exists, and their manifest last. Raises ``OSError``."""
    for name, content in files.items():
        (path / name).write_bytes(content)
    manifest = Manifest(
        format=FORMAT,
        hpo=hpo.__version__,
        study=study,
        trial=trial,
        created=datetime.now(UTC).replace(microsecond=0),
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    (path / MANIFEST).write_bytes(document(manifest.model_dump(mode="json")))


def document(value: Any) -> bytes:
    """A JSON document for people and programs."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        raise ExportedFolderError(f"there is no folder {path}")
    try:
        found = json.loads((path / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ExportedFolderError(f"{path} is no folder that `hpo export` wrote: no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise ExportedFolderError(f"{path / MANIFEST} cannot be read: {error}") from error
    if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:
        raise ExportedFolderError(
            f"{path} has format {found['format']}, written by hpo {found.get('hpo', 'unknown')}; "
            f"this hpo ({hpo.__version__}) reads format {FORMAT}: use the hpo that wrote it"
        )
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        flaws = ", ".join(str(each["loc"][0]) if each["loc"] else each["msg"] for each in error.errors())
        raise ExportedFolderError(f"{path / MANIFEST} is damaged: see {flaws}") from error
