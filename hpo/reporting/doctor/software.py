"""Python and the packages that hpo stands on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from hpo.reporting.doctor.diagnosis import Diagnosis, ok, problem


def python() -> Diagnosis:
    """The interpreter."""
    return ok(f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}")


def packages() -> Diagnosis:
    """Whether each dependency is installed in a version that hpo was made for."""
    needed = [Requirement(text) for text in requires("hpo") or []]
    needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = {each.name: _version(each.name) for each in needed}
    wrong = [each for each in needed if not _fits(each, found[each.name])]
    if wrong:
        said = ", ".join(f"{e.name} {found[e.name] or 'is missing'} (hpo needs {e.specifier})" for e in wrong)
        quoted = " ".join(f"'{each.name}{each.specifier}'" for each in wrong)
        return problem(said, f"{sys.executable} -m pip install {quoted}")
    return ok(f"hpo {version('hpo')}; " + ", ".join(f"{name} {found[name]}" for name in sorted(found)))


def _fits(needed: Requirement, installed: str | None) -> bool:
    return installed is not None and needed.specifier.contains(installed, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
