"""Studies from Python: what `hpo run`, `hpo submit` and `hpo show` do, for programs and notebooks."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from hpo.config.parsing.load import load_study, parse_study
from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.events import Event, RunSummary
from hpo.queries.frames import Results
from hpo.queries.study import StudyStatus, study_status
from hpo.queries.trial import TrialDetail, trial_detail
from hpo.settings import settings
from hpo.storage.engine import reading
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_study
from hpo.training.cores import default_workers
from hpo.workers.messages import Emit
from hpo.workers.ray.resources import RayWorkers
from hpo.workers.ray.run import run_on_ray
from hpo.workers.run import run_study
from hpo.workers.submit import submit as put

if TYPE_CHECKING:
    from pandas import DataFrame

StudySource: TypeAlias = str | Path | Mapping[str, Any]
"""A study file, the name of a bundled study, or what would stand in a study file."""


def run(
    study: StudySource,
    storage: str | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    trials: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    tags: Iterable[str] = (),
    ray: RayWorkers | None = None,
    on_event: Emit | None = None,
) -> Study:
    """Train a study's trials, or what is left of them, on this machine or a Ray cluster; its results.

    ``changes`` are values other than the file's (``{"epochs": 3}``), ``workers`` is how many processes train
    (as many as cores by default), ``ray`` has actors of a Ray cluster train instead, ``on_event`` hears of
    each epoch and trial (`hpo.events`). Ctrl-C saves the trials under way, then raises
    ``KeyboardInterrupt``; calling it again goes on. Whether all trials are over is in ``summary``. Raises
    ``UserError`` for mistakes, ``StorageError``, and ``WorkerError`` if no worker can go on.
    """
    spec = _spec(study, changes, trials)
    url = storage or settings().storage
    hear, has = on_event or _say_nothing, frozenset(tags)
    if ray is None:
        count = workers or default_workers(device, spec.trials).workers
        summary = run_study(spec, url, workers=count, device=device, tags=has, on_event=hear)
    elif workers is not None:
        raise UserError("workers is for processes of this machine: use max_workers of hpo.RayWorkers")
    else:
        summary = run_on_ray(spec, url, workers=ray, device=device, tags=has, on_event=hear)
    if summary.exit_code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if summary.exit_code == 128 + signal.SIGTERM:
        raise SystemExit(summary.exit_code)
    return Study(spec.study, url, summary)


def submit(
    study: StudySource,
    storage: str | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    trials: int | None = None,
    priority: int | None = None,
) -> Study:
    """Put a study and its trials into the database, for `hpo worker` anywhere; nothing is trained here.

    Workers serve studies of a higher ``priority`` first; None leaves it as it is, 0 for a new study. Raises
    ``UserError`` for mistakes, ``StorageError``.
    """
    spec = _spec(study, changes, trials)
    url = storage or settings().storage
    with ResultsStore(url) as store:
        put(store, spec, priority)
    return Study(spec.study, url)


def load(study: str, storage: str | None = None) -> Study:
    """The results of a study in the database, whoever trains it. Raises ``UnknownStudyError``."""
    return Study(study, storage or settings().storage)


class Study:
    """A study's results, read from the database when they are asked for.

    The methods that give frames need pandas and raise ``UserError`` without it; docs/sql.md describes every
    column. Also a context manager that closes its connections.
    """

    def __init__(self, name: str, storage: str, summary: RunSummary | None = None) -> None:
        self.name = name
        self.summary = summary
        """How the run ended; None if it was not run by this object."""
        self._results = Results(storage)
        try:
            with reading(self._results.engine) as connection:
                find_study(connection, name)
        except BaseException:
            self.close()
            raise

    def status(self) -> StudyStatus:
        """How far it is, and who is at work on it."""
        return study_status(self._results.engine, self.name)

    def best(self) -> TrialDetail | None:
        """The complete trial with the highest value; None while there is none."""
        number = self.status().best_number
        return None if number is None else self.trial(number)

    def trial(self, number: int) -> TrialDetail:
        """Everything about one trial; raises ``UserError`` if there is none of that number."""
        return trial_detail(self._results.engine, self.name, number)

    def results(self) -> DataFrame:
        """One row a trial, each hyperparameter a column."""
        return self._results.results(self.name)

    def leaderboard(self) -> DataFrame:
        """Complete trials, the best first."""
        return self._results.leaderboard(self.name)

    def curves(self) -> DataFrame:
        """One row an epoch."""
        return self._results.curves(self.name)

    def layers(self) -> DataFrame:
        """One row a layer and probe."""
        return self._results.layers(self.name)

    def findings(self) -> DataFrame:
        """One row for each thing that a check found."""
        return self._results.findings(self.name)

    def attempts(self) -> DataFrame:
        """One row a worker's go at a trial."""
        return self._results.attempts(self.name)

    def close(self) -> None:
        """Close every connection."""
        self._results.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        summary = self.status().summary
        return f"<hpo.Study {self.name}: {summary.done} of {summary.trials} trials are over>"


def _spec(study: StudySource, changes: Mapping[str, Any] | None, trials: int | None) -> StudySpec:
    wanted = {**(changes or {}), **({} if trials is None else {"trials": trials})}
    overrides = [f"{name}={json.dumps(value)}" for name, value in wanted.items()]
    if isinstance(study, Mapping):
        return parse_study(json.dumps(study, indent=1), "the study given", overrides)
    return load_study(str(study), overrides)


def _say_nothing(event: Event) -> None:
    pass
