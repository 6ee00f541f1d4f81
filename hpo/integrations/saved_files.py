"""Files that a library saves of a training, as arrays that a trial saves with everything else."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpo.errors import UserError
from hpo.files import temporary_folder

Bytes = npt.NDArray[np.uint8]


class UnpackedFiles:
    """A folder with the files, which is deleted with this object."""

    def __init__(self, files: Mapping[str, Bytes]) -> None:
        self.folder = temporary_folder("hpo-resumed-")
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.tobytes())


def unpacked_files(files: Mapping[str, Bytes] | None) -> UnpackedFiles | None:
    """Write packed files to a temporary folder; None stands for none."""
    return None if files is None else UnpackedFiles(files)


def packed_files(folder: Path) -> dict[str, Bytes]:
    """Return the content of the files in a folder by relative path. Raises ``UserError`` if it has none."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not files:
        raise UserError(f"{folder} has no files to save with the trial")
    return {str(path.relative_to(folder)): np.fromfile(path, dtype=np.uint8) for path in files}
