"""Prepares the nodes of a Ray cluster: finds the user's code, and checks whether each node can serve."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError, UserError
from hpo.provenance import DISTRIBUTION, sources
from hpo.workers.ray.resources import Node


@dataclass(frozen=True)
class UserCode:
    """Modules outside hpo that define the study's models or its training."""

    modules: tuple[str, ...]
    """Top-level names."""
    sent: tuple[Path, ...]
    """Packages and files to send: those that are not installed, but found in a folder here."""
    files: tuple[str, ...] = ()
    """Those of a command, which must be on every node at the same path; a program may be on its $PATH."""


def user_code(spec: StudySpec) -> UserCode:
    """Locate the code of models such as ``my_nets.cnn:build``, or that of the user's own training.

    Raises ``ConfigurationError`` if it is missing.
    """
    kind = "trainer" if spec.trainer is not None else "model"
    names = sorted({*spec.packages} - {"hpo"})
    with _with_this_folder():
        places = {name: _place(kind, name, importlib.util.find_spec(name)) for name in names}
    sent = tuple(path for path in places.values() if path is not None)
    return UserCode(tuple(names), sent, _files(spec.command or ()))


def _files(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the program of a command, and its arguments that are files here."""
    program, arguments = command[:1], [word for word in command[1:] if _is_file(word)]
    if program and os.sep in program[0]:
        program, arguments = (), [*program, *arguments]
    return (*program, *(str(Path(word).absolute()) for word in arguments))


def _is_file(word: str) -> bool:
    with suppress(OSError):  # such as too long for a name
        return Path(word).is_file()
    return False


def _place(kind: str, name: str, found: ModuleSpec | None) -> Path | None:
    """Return the folder or file to send; None for installed code."""
    if found is None:
        raise ConfigurationError(
            f"{kind} {name}: no module {name!r} in {Path.cwd()} or among the installed packages"
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
    """Search the working directory for modules too, as workers do."""
    before = list(sys.path)
    sys.path.append(str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


@dataclass(frozen=True)
class NodeReport:
    """What a node reported about itself."""

    host: str
    problem: str = ""
    """Why it did not answer."""
    hpo: str | None = None
    """Version and hash of the sources; None if hpo is not installed."""
    missing: tuple[str, ...] = ()
    """The user's modules that are missing."""
    missing_files: tuple[str, ...] = ()
    """The files of a command that are."""
    database: str = ""
    """Why the database cannot be used."""


def node_probe() -> Callable[[str, list[str], list[str]], dict[str, Any]]:
    """Return the function that a node runs.

    It is a closure, so that Ray sends its code: a node without hpo could not import it.
    """

    def probe(storage_url: str, modules: list[str], files: list[str]) -> dict[str, Any]:
        import importlib.util
        import pathlib
        import shutil

        report: dict[str, Any] = {
            "missing": tuple(name for name in modules if importlib.util.find_spec(name) is None),
            "missing_files": tuple(
                each for each in files if not pathlib.Path(each).is_file() and shutil.which(each) is None
            ),
        }
        try:
            from hpo import __version__

            report["hpo"] = __version__
            from hpo.provenance import sources
            from hpo.storage.ping import ping
        except ImportError:  # hpo is missing or older than this function, or another project's
            return report
        report["hpo"] = sources()
        try:
            ping(storage_url)
        except Exception as error:  # any error is reported to the user
            report["database"] = str(error)
        return report

    return probe


def usable_nodes(nodes: Sequence[Node], reports: Sequence[NodeReport]) -> list[Node]:
    """Return the nodes that answered: Ray still lists a killed node for some seconds.

    Raises ``UserError`` with what each node lacks and what to do about it, or if none answered.
    """
    here = sources()
    answered = [report for report in reports if not report.problem]
    problems = [f"  {each.host}: {what}" for each in answered or reports for what in _problems(each, here)]
    if problems:
        raise UserError("these nodes of the Ray cluster cannot serve the study:\n" + "\n".join(problems))
    return [node for node, report in zip(nodes, reports, strict=True) if not report.problem]


def _problems(report: NodeReport, here: str) -> list[str]:
    if report.problem:
        return [f"it did not answer: {report.problem}"]
    if report.hpo is None:
        wanted = f"{DISTRIBUTION} {here.partition('+')[0]}"
        return [f"hpo is not installed: install {wanted} in the Python that runs Ray"]
    found = []
    if report.hpo != here:
        found.append(f"it has hpo {report.hpo}, this machine has {here}: install the same {DISTRIBUTION}")
    if report.missing:
        found.append(f"module {', '.join(report.missing)} is missing: install it there too")
    if report.missing_files:
        found.append(
            f"it has no {', '.join(report.missing_files)}: the files of a command are not sent; put them "
            "into the same folder on every node, or into one that the nodes share"
        )
    if report.database:
        found.append(f"it cannot use the database: {report.database}")
    return found
