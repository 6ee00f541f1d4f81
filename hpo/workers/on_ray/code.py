"""The user's code that a study needs: which of it is sent to the nodes, and which must be there."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

from hpo.errors import ConfigurationError
from hpo.spec.study import StudySpec


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
