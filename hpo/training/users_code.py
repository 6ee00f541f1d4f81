"""Code of the user's that hpo runs: which is allowed, where it is found, and how it is imported.

For networks (``model: package.module:function``), trainings (``trainer: package.module:function``) and
commands alike. Nothing here imports PyTorch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from hpo.config.suggestions import did_you_mean
from hpo.errors import ConfigurationError
from hpo.training.optuna_scripts import until_optimize

if TYPE_CHECKING:
    from hpo.config.study import StudySpec

USERS_ERRORS = (Exception, SystemExit)
"""What a user's code may raise. ``sys.exit`` in it must not end a worker."""

Kind = Literal["model", "trainer", "dataset", "objective"]

STUDY_ATTRIBUTE = "__hpo_study__"
"""Where a function under ``@hpo.study`` has its study's settings."""

_importing = 0


def is_importing() -> bool:
    """Whether hpo is importing code of the user's: a study in it must not start again."""
    return _importing > 0


@contextmanager
def _import_under_way() -> Iterator[None]:
    global _importing
    _importing += 1
    try:
        yield
    finally:
        _importing -= 1


_allowed: tuple[str, ...] | None = None
"""The packages and programs of users that this process may run; None for all."""


def allow_only(names: Iterable[str] | None) -> None:
    """Allow this process to run only code of these packages, and these programs; ``*`` or None allows all.

    For a worker that trains the studies of other users. Bundled networks are always allowed.
    """
    global _allowed
    named = None if names is None else tuple(names)
    _allowed = None if named is None or "*" in named else named


def refuse_foreign(kind: Kind, path: str) -> None:
    """Raise ``ConfigurationError`` if code at ``package.module:function`` is not allowed here."""
    module_name = path.partition(":")[0]
    if _allowed is None or any(
        module_name == each or module_name.startswith(f"{each}.") for each in _allowed
    ):
        return
    how = _how_to_allow(_allowed, module_name.partition(".")[0], "its code")
    raise ConfigurationError(f"{kind} {path} was not imported: {how}")


def refuse_foreign_training(spec: StudySpec) -> None:
    """Raise ``ConfigurationError`` if the study's own training is not allowed here."""
    if spec.trainer is not None:
        refuse_foreign("trainer", spec.trainer)
    program = spec.command[0] if spec.command else None
    if program is not None and _allowed is not None and program not in _allowed:
        how = _how_to_allow(_allowed, program, "it")
        raise ConfigurationError(f"command {spec.trainer_text} was not started: {how}")


def _how_to_allow(allowed: tuple[str, ...], name: str, trusted: str) -> str:
    listed = f"bundled networks and those of {', '.join(allowed)}" if allowed else "only bundled networks"
    return (
        f"this worker allows {listed}. If you trust {trusted}, start the worker with "
        f"HPO_ALLOWED_MODELS={','.join([*allowed, name])}"
    )


def import_function(
    kind: Kind, path: str, import_module: Callable[[str], ModuleType] = importlib.import_module
) -> Callable[..., Any]:
    """Import the function ``package.module:function``, also from the working directory.

    Raises ``ConfigurationError`` if it is not allowed, its module cannot be imported or has no such function.
    """
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name:
        raise ConfigurationError(f"{kind} {path!r} does not have the form package.module:function")
    refuse_foreign(kind, path)
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # at the end: it must not hide an installed package
    try:
        with _import_under_way(), until_optimize(module_name):
            found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ConfigurationError(no_module(kind, path, error.name)) from error
        raise ConfigurationError(raised(kind, path, "when imported", error)) from error
    except USERS_ERRORS as error:
        raise ConfigurationError(raised(kind, path, "when imported", error)) from error
    for name in function_name.split("."):
        if not hasattr(found, name):
            known = [each for each in dir(found) if not each.startswith("__")]
            raise ConfigurationError(no_function(kind, path, known))
        found = getattr(found, name)
    if not callable(found):
        message = f"{kind} {path}: {function_name} is a {type(found).__name__}, not a function"
        raise ConfigurationError(message)
    function: Callable[..., Any] = found
    return function


def raised(kind: Kind, path: str, doing: str, error: BaseException) -> str:
    """Return the message for an error that the user's code raised."""
    return f"{kind} {path}, {doing}, raised {type(error).__name__}: {error}"


def no_module(kind: Kind, path: str, module: str) -> str:
    """Return the message for a module that does not exist."""
    parent, _, part = module.rpartition(".")
    if parent in sys.modules and not hasattr(sys.modules[parent], "__path__"):
        return no_package(kind, path, parent, part)
    return f"{kind} {path}: there is no module {module!r} in {Path.cwd()} or among the installed packages"


def no_package(kind: Kind, path: str, module: str, part: str) -> str:
    """Return the message for a part of a module that is not a package."""
    return f"{kind} {path}: {module} is a module, not a package: there is no module {part!r} in it"


def no_function(kind: Kind, path: str, known: Iterable[str]) -> str:
    """Return the message for a function that its module, which has the ``known`` names, does not have."""
    module, _, function = path.partition(":")
    hint = did_you_mean(function, known)
    message = f"{kind} {path}: module {module} has no {function!r}"
    return f"{message}; {hint}" if hint else message
