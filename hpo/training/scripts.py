"""A study in a Python file: ``train.py:run``, a function under ``@hpo.study`` or an objective of Optuna's."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hpo.config.own_training import TRAINER_PATTERN
from hpo.config.parsing.document import parse_document
from hpo.config.parsing.load import load_study
from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError, Problem, StudyFileError
from hpo.training.optuna_scripts import HOW_TO_GET_IT, objective_document, refuse_hpo_trial
from hpo.training.users_trainer import check_trainer, find_module, find_trainer

_SCRIPT = re.compile(r"(?P<file>.+\.py)(:(?P<function>.*))?", re.DOTALL)


def is_script(source: str) -> bool:
    """Return whether this names a Python file, with or without a function in it."""
    return _SCRIPT.fullmatch(source) is not None


def load_any_study(source: str, overrides: Sequence[str] = ()) -> StudySpec:
    """Load a study file, a bundled study, or the study of a function in a Python file, ``train.py:run``.

    A function without ``@hpo.study`` is an objective that is written for Optuna. The Python file is imported
    in a separate process.

    Its folder, or that of a study file that names code of the user's, is then on the search path of this
    process and of its workers, after installed packages and the working directory.

    Raises like ``load_study``, and ``ConfigurationError`` if the file cannot be imported, its function has no
    study, or it is not an objective, but takes an ``hpo.Trial``.
    """
    found = _SCRIPT.fullmatch(source)
    if found is None:
        spec = load_study(source, overrides)
        if spec.packages and Path(source).is_file():
            _add_to_search_path(Path.cwd(), Path(source).parent)
        return spec
    file, function = Path(found["file"]), found["function"]
    if not function:
        raise ConfigurationError(_without_function(file))
    if not file.is_file():
        raise ConfigurationError(f"there is no file {file}")
    path = trainer_path(file, function)
    _refuse_another(file, path)
    find_trainer(path)  # without running it: an import may take seconds
    checked = check_trainer(path)
    if checked.problem:
        raise ConfigurationError(checked.problem)
    if checked.study is not None:
        document = {"trainer": path, **checked.study}
        return parse_document(document, source, overrides)
    if "hpo." in checked.signature:
        raise ConfigurationError(_without_study(source))
    if not any(each.startswith("interface=") for each in overrides):
        refuse_hpo_trial(file, function)
    document = objective_document(file, path, overrides)
    try:
        return parse_document(document, source, overrides)
    except StudyFileError as error:
        raise StudyFileError(error.source, [_of_interface(each, source) for each in error.problems]) from None


def _of_interface(problem: Problem, source: str) -> Problem:
    """Return a problem with why the study has ``interface: optuna``, if that is what it is about."""
    if "cannot be combined with interface: optuna" not in problem.message:
        return problem
    return replace(problem, hint=f"{source} has no @hpo.study, so it is Optuna's; {HOW_TO_GET_IT}")


def trainer_path(file: Path, function: str) -> str:
    """Return ``module:function`` for a file and a function, and put its folder on the search path.

    The module is found in the file's folder, as by ``python train.py``; in a package it has the package's
    name, so that its relative imports work. Raises ``ConfigurationError`` if it cannot be imported.
    """
    folder, module = _module_of(file)
    path = f"{module}:{function}"
    _add_to_search_path(folder, file.parent)
    is_module = "." not in file.stem and TRAINER_PATTERN.fullmatch(f"{module}:run")
    if is_module and TRAINER_PATTERN.fullmatch(path):
        return path
    if is_module:
        raise ConfigurationError(f"{file}:{function}: {function!r} is not the name of a function")
    proper = re.sub(r"\W", "_", file.stem, flags=re.ASCII)
    raise ConfigurationError(
        f"{file} cannot be imported: {file.stem!r} is not the name of a Python module; rename it to "
        f"{proper}.py"
    )


def _module_of(file: Path) -> tuple[Path, str]:
    """Return the folder in which a file's module is found, and its name, with those of its packages."""
    folder, names = file.resolve().parent, [file.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(names)


_added: list[str] = []
"""Folders that were added to the search path, the latest first."""


def _add_to_search_path(*folders: Path) -> None:
    """Have this process, and those that it starts, find modules in folders; installed packages go first.

    The folders of a study go before those of earlier studies of this process.
    """
    places = [str(each.resolve()) for each in folders]
    sys.path[:] = [each for each in sys.path if each not in places or each not in _added]
    known = {str(Path(each or ".").resolve()) for each in sys.path}
    new = [each for each in dict.fromkeys(places) if each not in known]
    first = min((sys.path.index(each) for each in _added if each in sys.path), default=len(sys.path))
    sys.path[first:first] = new
    _added[:] = [*new, *(each for each in _added if each not in places)]


def _refuse_another(file: Path, path: str) -> None:
    """Raise ``ConfigurationError`` if another module hides the file."""
    there = find_module(path)
    if there is None or not there.samefile(file):
        where = there or "a part of Python"
        raise ConfigurationError(
            f"{file} cannot be imported: module {file.stem!r} is {where}, which comes first; rename the file"
        )


def _without_study(source: str) -> str:
    name = source.rpartition(":")[2]
    return (
        f"{source} has no study: write @hpo.study(space={{...}}, trials=50) above def {name}(trial), or a "
        "study file with trainer:"
    )


def _without_function(file: Path) -> str:
    try:
        names = list(_decorated(ast.parse(file.read_bytes())))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        names = []
    named = f"write {' or '.join(f'{file}:{name}' for name in names)}" if names else f"e.g. {file}:run"
    return f"{file} is a Python file: name a function in it, {named}"


def _decorated(module: ast.Module) -> Iterator[str]:
    """Yield the names of functions with a decorator ``study``."""
    for each in module.body:
        decorators = each.decorator_list if isinstance(each, ast.FunctionDef) else []
        for decorator in decorators:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(called, "attr", getattr(called, "id", "")) == "study":
                yield getattr(each, "name", "")
