"""The files of an exported folder and its manifest: each file that is used must match its checksum."""

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


class BundleManifest(BaseModel):
    """The content of manifest.json; ``sha256`` has the checksum (hex) of each file that predictions need."""

    format: int
    hpo: str
    study: str
    trial: int
    created: datetime
    sha256: dict[str, str]


class ExportedFolder:
    """A folder that `hpo export` wrote. The manifest is read at once, the files when they are needed.

    Raises ``ExportedFolderError`` if `hpo export` did not write it, or if its format or a file is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _read_manifest(path)

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.sha256

    def read(self, name: str) -> bytes:
        """Return the content of a file, verified by its checksum."""
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise self.damaged(name, f"cannot be read: {error.strerror or error}") from error
        if self.manifest.sha256.get(name) != hashlib.sha256(content).hexdigest():
            raise self.damaged(name, f"does not match its checksum in {MANIFEST}")
        return content

    def damaged(self, name: str, why: str) -> ExportedFolderError:
        """Return the error for a file that cannot be used."""
        return ExportedFolderError(f"{self.path / name} {why}; export the trial again (`hpo export`)")


def write_sealed(path: Path, study: str, trial: int, files: Mapping[str, bytes]) -> None:
    """Write files into an existing folder, and their manifest last. Raises ``OSError``."""
    for name, content in files.items():
        (path / name).write_bytes(content)
    manifest = BundleManifest(
        format=FORMAT,
        hpo=hpo.__version__,
        study=study,
        trial=trial,
        created=datetime.now(UTC).replace(microsecond=0),
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    (path / MANIFEST).write_bytes(document(manifest.model_dump(mode="json")))


def document(value: Any) -> bytes:
    """Encode a value as indented JSON."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_manifest(path: Path) -> BundleManifest:
    if not path.exists():
        raise ExportedFolderError(f"there is no folder {path}")
    try:
        found = json.loads((path / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ExportedFolderError(f"{path} was not written by `hpo export`: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise ExportedFolderError(f"{path / MANIFEST} cannot be read: {error}") from error
    if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:
        raise ExportedFolderError(
            f"{path} has format {found['format']}, written by hpo {found.get('hpo', 'unknown')}; "
            f"this hpo ({hpo.__version__}) reads format {FORMAT}: use the hpo that wrote it"
        )
    try:
        return BundleManifest.model_validate(found)
    except ValidationError as error:
        flaws = ", ".join(str(each["loc"][0]) if each["loc"] else each["msg"] for each in error.errors())
        raise ExportedFolderError(f"{path / MANIFEST} is damaged: see {flaws}") from error
