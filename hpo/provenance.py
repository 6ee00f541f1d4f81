"""Which code produced a result: enough to explain and reproduce it later."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from hpo import __version__

DISTRIBUTION = "hpo-babysitter"
"""The name that pip knows this package by: `hpo` on PyPI is another project's."""

_PACKAGE = Path(__file__).parent
_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "optuna", "sqlalchemy")
_GIT_SECONDS = 5.0


def code_version() -> str:
    """Return hpo's version and commit, with a hash of its sources if they differ from the commit's.

    ``0.1.0+83bb2bd1c2d3``, ``0.1.0+83bb2bd1c2d3-dirty.4c1f...`` or, without a repository,
    ``0.1.0+sources.4c1f...``.
    """
    commit = _commit()
    if commit is None:
        return sources()
    return f"{__version__}+{commit}" + (f".{_sources_hash()}" if commit.endswith("-dirty") else "")


def sources() -> str:
    """Return hpo's version with a hash of its sources, which is the same for the same code anywhere."""
    return f"{__version__}+sources.{_sources_hash()}"


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@cache
def running_code() -> str:
    """Return ``code_version`` as of its first call in this process: later edits are not what runs."""
    return code_version()


@cache
def running_packages() -> dict[str, str]:
    """Return ``package_versions``, looked up once per process."""
    return package_versions()


def _commit() -> str | None:
    # An environment may lie inside another repository: only one that tracks this package counts.
    if not _git("ls-files", "__init__.py"):
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(_PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for name, path in sorted(_sources().items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _sources() -> dict[str, Path]:
    """Return every file of ours that a result may depend on, by its path in the package.

    In a checkout `hpo.models` is next to the package, not in it.
    """
    folders = {"": _PACKAGE}
    models = find_spec("hpo.models")
    if models is not None and models.submodule_search_locations:
        folders["models/"] = Path(models.submodule_search_locations[0])
    return {
        prefix + path.relative_to(folder).as_posix(): path
        for prefix, folder in folders.items()
        for path in folder.rglob("*.py")
    }
