"""Preparing the nodes of a Ray cluster: the user's code, and whether each node can serve."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError, UserError
from hpo.provenance import sources
from hpo.workers.ray.resources import Node


@dataclass(frozen=True)
class UserCode:
    """Modules outside hpo that the study's networks come from."""

    modules: tuple[str, ...]
    """Top-level names."""
    sent: tuple[Path, ...]
    """Packages and files of those that are installed nowhere, but lie in a folder here."""


def user_code(spec: StudySpec) -> UserCode:
    """Where ``model: my_nets.cnn:build`` comes from; raises ``ConfigurationError`` if it is not here."""
    names = sorted({name.partition(":")[0].partition(".")[0] for name in _own_models(spec)} - {"hpo"})
    with _with_this_folder():
        places = {name: _place(name, importlib.util.find_spec(name)) for name in names}
    return UserCode(tuple(names), tuple(path for path in places.values() if path is not None))


def _own_models(spec: StudySpec) -> Iterator[str]:
    searched = spec.space.get("model")
    for name in searched.extremes() if searched else [spec.fixed.get("model", "")]:
        if ":" in str(name):
            yield str(name)


def _place(name: str, found: ModuleSpec | None) -> Path | None:
    """The folder or file to send; None for what is installed."""
    if found is None:
        raise ConfigurationError(
            f"model {name}: there is no module {name!r} in {Path.cwd()} or among the installed packages"
        )
    folders = list(found.submodule_search_locations or [])
    if not folders and not found.has_location:  # part of Python
        return None
    path = Path(folders[0] if folders else str(found.origin)).absolute()
    return None if _is_installed(path) else path


def _is_installed(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _installed_folders())


def _installed_folders() -> Iterable[str]:
    return {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}


@contextmanager
def _with_this_folder() -> Iterator[None]:
    """Modules in the working directory are found, as a worker finds them."""
    sys.path.append(str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.pop()


@dataclass(frozen=True)
class Report:
    """What a node says of itself."""

    host: str
    problem: str = ""
    """Why it says nothing."""
    hpo: str | None = None
    """Version and hash of the sources; None if hpo is not there."""
    missing: tuple[str, ...] = ()
    """Modules of the user's that are not there."""
    database: str = ""
    """Why the database cannot be reached."""


def examination() -> Callable[[str, list[str]], dict[str, Any]]:
    """What a node runs. Made here, so that all of it travels: a node without hpo has nothing to import."""

    def examine(storage_url: str, modules: list[str]) -> dict[str, Any]:
        import importlib.metadata
        import importlib.util

        said: dict[str, Any] = {
            "missing": tuple(name for name in modules if importlib.util.find_spec(name) is None)
        }
        try:
            said["hpo"] = importlib.metadata.version("hpo")
            from hpo.provenance import sources
            from hpo.storage.ping import reach
        except ImportError:  # it is not there, or older than this function
            return said
        said["hpo"] = sources()
        try:
            reach(storage_url)
        except Exception as error:  # whatever it is: it is said where it is read
            said["database"] = str(error)
        return said

    return examine


def fit_nodes(nodes: Sequence[Node], reports: Sequence[Report]) -> list[Node]:
    """Those that said something: Ray lists a node that was killed for some seconds more.

    Raises ``UserError`` that lists every node with what it lacks and what to do, or if none said anything.
    """
    here = sources()
    answered = [report for report in reports if not report.problem]
    said = [f"  {each.host}: {what}" for each in answered or reports for what in _lacks(each, here)]
    if said:
        raise UserError("these nodes of the Ray cluster cannot serve the study:\n" + "\n".join(said))
    return [node for node, report in zip(nodes, reports, strict=True) if not report.problem]


def _lacks(report: Report, here: str) -> list[str]:
    if report.problem:
        return [f"it did not say how it is: {report.problem}"]
    if report.hpo is None:
        return [f"hpo is not installed there: install {here.partition('+')[0]} in the Python that runs Ray"]
    found = []
    if report.hpo != here:
        found.append(f"it has hpo {report.hpo}, this is {here}: install the same on both")
    if report.missing:
        found.append(f"there is no module {', '.join(report.missing)}: install it there too")
    if report.database:
        found.append(f"the database cannot be used from there: {report.database}")
    return found
