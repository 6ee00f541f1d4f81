"""``@hpo.study``: a study of the function below it, in the Python file that has the training."""

from __future__ import annotations

import atexit
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar, overload

from hpo.config.plain import plain
from hpo.config.suggestions import did_you_mean
from hpo.errors import HpoError, UserError
from hpo.training.users_code import STUDY_ATTRIBUTE, is_importing

if TYPE_CHECKING:
    from hpo.api import Study
    from hpo.trainer.trial import Trial
    from hpo.workers.ray.resources import RayWorkers

_Value = TypeVar("_Value", bound=float | None)

__all__ = ["StudyFunction", "study"]


def study(
    *misplaced: Never,
    space: Mapping[str, Any] | None = None,
    trials: int | None = None,
    **settings: Any,
) -> Callable[[Callable[[Trial], _Value]], StudyFunction[_Value]]:
    """Turn a function that trains a trial into a study.

    The arguments are the keys of a study file: ``fixed={"epochs": 30}``, ``objective="val_loss"``,
    ``sampler="tpe"``, ``stages=[...]``. ``study`` is the study's name; by default it is the file's and the
    function's, ``train.run``. Without an argument the function trains the study; with a trial, it trains
    that trial::

        @hpo.study(space={"lr": {"log": [1e-4, 1e-1]}}, trials=50)
        def run(trial: hpo.Trial) -> float: ...

        if __name__ == "__main__":
            run()

    ``hpo run train.py:run`` does the same. Raises ``UserError`` for arguments that a study file cannot have.
    """
    if len(misplaced):
        with _told(sys._getframe(1).f_globals.get("__name__", "")):
            raise UserError("@hpo.study needs its arguments by name: @hpo.study(space={...}, trials=50)")
    given = {"space": space, "trials": trials}
    document = {**{name: value for name, value in given.items() if value is not None}, **settings}

    def decorate(function: Callable[[Trial], _Value]) -> StudyFunction[_Value]:
        with _told(function.__module__):
            return StudyFunction(function, _written(document, function))

    return decorate


def _written(document: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments as a study file has them. Raises ``UserError``."""
    name = getattr(function, "__qualname__", "")
    if not name or hasattr(function, STUDY_ATTRIBUTE):
        kind = f"{name} is a study already" if name else f"a {type(function).__name__} is not one"
        raise UserError(f"@hpo.study is for functions; {kind}")
    taken = next((each for each in ("trainer", "command", "interface") if each in document), None)
    if taken is not None:
        raise UserError(f"@hpo.study of {name}: {taken} cannot be given: the function is the training")
    try:
        return plain(document)
    except UserError as error:
        raise UserError(f"@hpo.study of {name}: {error}") from None


@contextmanager
def _told(module: str) -> Iterator[None]:
    """In a script, print an error of hpo and end with its exit code; elsewhere let it pass."""
    try:
        yield
    except HpoError as error:
        if module != "__main__" or is_importing() or hasattr(sys, "ps1"):  # imported, or typed by hand
            raise
        sys.stderr.write(f"error: {error}\n")
        atexit.unregister(_say_what_was_not_started)
        raise SystemExit(error.exit_code) from None


class StudyFunction(Generic[_Value]):
    """A function under ``@hpo.study``: call it without a trial to train its study."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[[Trial], _Value], document: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        setattr(self, STUDY_ATTRIBUTE, {"study": _default_name(function), **document})
        if function.__module__ == "__main__" and not is_importing():
            _waiting.append(self)

    @overload
    def __call__(self, trial: Trial, /) -> _Value: ...
    @overload
    def __call__(
        self,
        /,
        *,
        storage: str | None = None,
        changes: Mapping[str, Any] | None = None,
        trials: int | None = None,
        workers: int | None = None,
        device: str = "auto",
        tags: Iterable[str] = (),
        ray: RayWorkers | None = None,
    ) -> Study | None: ...
    def __call__(self, trial: Trial | None = None, /, **options: Any) -> Any:
        """Train a trial; without one train the study, show its progress, and return its results.

        The options are those of `hpo.run`. While a worker imports the file, it returns None: a file without
        ``if __name__ == "__main__":`` does not start its study again. As the main program it ends with an
        exit code for a mistake and after a signal; elsewhere it raises what `hpo.run` raises.
        """
        if self in _waiting:
            _waiting.remove(self)
        if trial is not None:
            return self._function(trial)
        return None if is_importing() else self._train(options)

    def _train(self, options: Mapping[str, Any]) -> Study:
        from hpo.training.users_trainer import problem_of

        with _told(self._function.__module__):
            path = self._trainer()
            if problem := problem_of(path, self._function):
                raise UserError(problem)
            unknown = next((each for each in options if each not in _OPTIONS), None)
            if unknown is not None:
                hint = did_you_mean(unknown, _OPTIONS) or f"known: {', '.join(_OPTIONS)}"
                raise UserError(f"{self._function.__qualname__}() has no option {unknown} ({hint})")
            return _run_shown({"trainer": path, **getattr(self, STUDY_ATTRIBUTE)}, **options)

    def _trainer(self) -> str:
        """Return ``module:function``, under which workers import the function."""
        from hpo.training.scripts import trainer_path

        name, function = self._function.__qualname__, self._function
        if name.endswith("<lambda>"):
            raise UserError("workers cannot import a lambda: write def run(trial)")
        if "<" in name:
            raise UserError(
                f"{name}: workers cannot import a function within another: move it out of it, or use "
                "functools.wraps if that is a decorator"
            )
        if function.__module__ != "__main__":
            return f"{function.__module__}:{name}"
        main = sys.modules["__main__"]
        if main.__spec__ is not None:  # python -m package.train
            return f"{main.__spec__.name}:{name}"
        return trainer_path(_main_file(name), name)


_waiting: list[StudyFunction[Any]] = []
"""Those of a script that were not called."""


@atexit.register
def _say_what_was_not_started() -> None:
    if hasattr(sys, "last_value") or hasattr(sys, "ps1"):  # an error has ended the script; no script
        return
    for function in _waiting:
        name = function.__name__
        sys.stderr.write(
            f"hpo: the study of {name} was not started: call {name}() at the end of the file, or use "
            f"`hpo run {sys.argv[0]}:{name}`\n"
        )


def _run_shown(
    document: Mapping[str, Any],
    *,
    storage: str | None = None,
    changes: Mapping[str, Any] | None = None,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    tags: Iterable[str] = (),
    ray: RayWorkers | None = None,
) -> Study:
    """Train a study as `hpo run` does, and show it. After a signal, raises ``SystemExit``."""
    from hpo.api import Study, study_spec, train
    from hpo.cli.views.run import RunView
    from hpo.settings import settings

    spec, url = study_spec(document, changes, trials), storage or settings().storage
    view = RunView(url)
    with view:
        summary = train(spec, url, workers=workers, device=device, tags=tags, ray=ray, on_event=view.show)
    view.print_summary(summary, f"python {sys.argv[0]}")
    if summary.interrupted:
        raise SystemExit(summary.exit_code)
    return Study(spec.study, url, summary)


_OPTIONS = tuple(inspect.signature(_run_shown).parameters)[1:]


def _main_file(name: str) -> Path:
    file = Path(getattr(sys.modules["__main__"], "__file__", ""))
    if file.suffix != ".py" or not file.is_file():
        raise UserError(f"workers import {name} from its file: write it into a file train.py, not a notebook")
    return file


def _default_name(function: Callable[..., Any]) -> str:
    called = inspect.unwrap(function)
    file = Path(called.__code__.co_filename) if hasattr(called, "__code__") else Path(function.__module__)
    return f"{file.stem}.{function.__qualname__}"
