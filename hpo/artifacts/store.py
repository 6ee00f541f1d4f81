"""The best weights of a study's best trials: one folder each, with safetensors and readable JSON.

A folder's name contains the token of the attempt that wrote it. The newest token counts, so that a worker
that lost its slot without noticing changes nothing. The folder appears atomically.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import ArtifactError
from hpo.files import atomic_folder, write_bytes
from hpo.settings import settings
from hpo.testing.faults import fault_point

if TYPE_CHECKING:  # finding a folder needs no torch
    from torch import Tensor

FORMAT = 1
WEIGHTS, DOCUMENT, STUDY = "weights.safetensors", "trial.json", "study.json"
_NAME = re.compile(r"^\.?trial-(\d+)-(\d+)(\.|$)")


@dataclass(frozen=True)
class SavedWeights:
    """The weights of a trial's best epoch, and the document that describes them."""

    document: dict[str, Any]
    weights: dict[str, Tensor]
    """A state dict, on the CPU."""


@dataclass(frozen=True)
class ArtifactFolder:
    """The folder of a trial, complete or half written."""

    path: Path
    number: int
    token: int


def artifacts() -> Path:
    """Return the folder of all saved weights: `$HPO_ARTIFACTS`."""
    return settings().artifacts.absolute()


def study_folder(study_uid: str) -> Path:
    """Return the folder of a study's saved weights."""
    return artifacts() / study_uid


def files_folder(study_uid: str, stage: str, slot: int) -> Path:
    """Return the folder of the files that a trial of the user's own training has kept."""
    return study_folder(study_uid) / "files" / f"{stage}-{slot}"


def save(
    study_uid: str,
    number: int,
    token: int,
    weights: Mapping[str, Tensor],
    document: Mapping[str, Any],
    study: Mapping[str, Any],
) -> Path:
    """Save the weights of a trial for the holder of ``token``, and return their folder. Raises ``OSError``.

    ``study`` is written into a file next to it, to identify the study's folder.
    """
    import safetensors.torch

    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()})
    return save_content(study_uid, number, token, content, document, study)


def save_content(
    study_uid: str,
    number: int,
    token: int,
    content: bytes,
    document: Mapping[str, Any],
    study: Mapping[str, Any],
) -> Path:
    """Save weights that are safetensors already; otherwise like ``save``."""
    sealed = {"format": FORMAT, "weights_sha256": hashlib.sha256(content).hexdigest(), **document}
    folder = study_folder(study_uid) / f"trial-{number}-{token}"
    with atomic_folder(folder) as temporary:
        fault_point("kept.write")
        write_bytes(temporary / WEIGHTS, content)
        write_bytes(temporary / DOCUMENT, _text(sealed))
        fault_point("kept.replace")
        _write_owner(folder.parent, study)
        # The folder exists only if a database restored from a backup hands out a token again.
        shutil.rmtree(folder, ignore_errors=True)
    fault_point("kept.replaced")
    return folder


def find(study_uid: str, number: int) -> Path | None:
    """Return the folder with a trial's ``weights.safetensors`` and ``trial.json``; None if there is none."""
    complete = [
        each for each in trial_folders(study_uid) if each.number == number and each.path.name[0] != "."
    ]
    return max(complete, key=lambda each: each.token).path if complete else None


def load(folder: Path) -> SavedWeights:
    """Read what ``save`` wrote. Raises like ``read``."""
    import safetensors.torch

    document, content = read(folder)
    return SavedWeights(document, safetensors.torch.load(content))


def read(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Read and verify what ``save`` wrote: the document, and the file of safetensors.

    Raises ``ArtifactError`` if it is damaged or from a newer hpo.
    """
    try:
        document = json.loads((folder / DOCUMENT).read_bytes())
        content = (folder / WEIGHTS).read_bytes()
        version, checksum = document["format"], document["weights_sha256"]
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ArtifactError(f"{folder / DOCUMENT} is damaged: it does not describe saved weights") from error
    if version != FORMAT:
        raise ArtifactError(f"{folder} has format {version}; this version of hpo reads format {FORMAT}")
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ArtifactError(f"{folder / WEIGHTS} is damaged: it does not match its checksum")
    return document, content


def trial_folders(study_uid: str) -> list[ArtifactFolder]:
    """Return the folders of a study's trials, including half-written ones.

    Raises ``ArtifactError`` if the study's folder cannot be read.
    """
    folder = study_folder(study_uid)
    try:
        names = sorted(each.name for each in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error.strerror} ($HPO_ARTIFACTS)") from error
    matches = [match for name in names if (match := _NAME.match(name))]
    return [ArtifactFolder(folder / each.string, int(each[1]), int(each[2])) for each in matches]


def studies() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the folder of each study with the content of its ``study.json``; skip folders without one."""
    for path in sorted(artifacts().glob(f"*/{STUDY}")):
        try:
            yield path.parent, dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            continue


def stale(
    found: list[ArtifactFolder], unfinished: Collection[int], wanted: Mapping[int, int]
) -> list[ArtifactFolder]:
    """Return the folders that are no longer needed.

    ``unfinished`` trials may still need theirs; of the others, only those in ``wanted`` with that token stay.
    List the folders before reading the database: then each belongs to a trial that the database knows.
    """
    return [each for each in found if each.number not in unfinished and wanted.get(each.number) != each.token]


def remove(found: list[ArtifactFolder]) -> None:
    """Remove the folders. Another process may remove them at the same time."""
    for each in found:
        shutil.rmtree(each.path, ignore_errors=True)


def _text(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write_owner(folder: Path, study: Mapping[str, Any]) -> None:
    if not (folder / STUDY).exists():
        write_bytes(folder / STUDY, _text(study))
