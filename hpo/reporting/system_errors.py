"""Errors of the operating system: what it refused, where, and which variable names another place."""

from __future__ import annotations

import os
from pathlib import Path

from hpo.errors import UserError

_NO_TEMPORARY = "temporary director"  # of `tempfile` and of Matplotlib, which give no path


def explain_system_error(error: OSError) -> str:
    """Return the error in words; empty if it does not tell which file or folder it is about."""
    if _NO_TEMPORARY in str(error):
        return (
            f"no temporary files can be written ({error.strerror or error}): set $TMPDIR to a writable folder"
        )
    if not isinstance(error.filename, str | bytes | os.PathLike) or not error.strerror:
        return ""
    path = Path(os.fsdecode(error.filename))
    return f"{path}: {error.strerror}{_where(path)}"


def _where(path: Path) -> str:
    from hpo.settings import settings

    try:
        known = settings()
    except UserError:
        return ""
    folders = {
        "HPO_CHECKPOINTS": known.checkpoints,
        "HPO_CACHE": known.cache,
        "HPO_DATA": known.data,
        "HPO_ARTIFACTS": known.artifacts,
    }
    for name, folder in folders.items():
        if path.absolute().is_relative_to(folder.absolute()):
            return f"; set ${name} to use another folder than {folder}"
    return ""
