"""The Python API: what `hpo run`, `hpo submit` and `hpo show` do, for programs and notebooks."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from hpo.config.parsing.document import parse_document
from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.events import Event, RunSummary, StudyReady
from hpo.queries.frames import Results
from hpo.queries.study import StudyStatus, study_status
from hpo.queries.trial import TrialDetail, trial_detail
from hpo.settings import settings
from hpo.storage.engine import reading
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_study
from hpo.text import counted
from hpo.training.cores import default_workers
from hpo.training.scripts import load_any_study
from hpo.workers.messages import Emit
from hpo.workers.ray.resources import RayWorkers
from hpo.workers.ray.run import run_on_ray
from hpo.workers.run import run_study
from hpo.workers.submit import submit_study

if TYPE_CHECKING:
    from pandas import DataFrame

StudySource: TypeAlias = str | Path | Mapping[str, Any]
"""A study file, the name of a bundled study, ``train.py:run``, or the contents of a study file."""


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
    """Train a study's remaining trials on this machine or on a Ray cluster, and return its results.

    ``changes`` override values of the file (``{"epochs": 3}``), ``workers`` is the number of processes (by
    default one per core, at most 4), ``ray`` trains with actors of a Ray cluster instead, ``on_event`` is
    called with each event (`hpo.events`); what it raises ends the run once the running trials are saved.
    Ctrl-C saves them, then raises ``KeyboardInterrupt``; the same call resumes the study. ``summary`` shows
    whether all trials are over, and how many failed: failed trials raise nothing. Raises ``UserError`` for
    mistakes, ``StorageError``, and ``WorkerError`` if no worker can continue.
    """
    spec, url = study_spec(study, changes, trials), storage or settings().storage
    summary = train(
        spec,
        url,
        workers=workers,
        device=device,
        tags=tags,
        ray=ray,
        on_event=on_event or _warn,
    )
    if summary.exit_code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if summary.interrupted:
        raise SystemExit(summary.exit_code)
    if on_event is None:
        for warning in summary.warnings:
            warnings.warn(warning, stacklevel=2)
    return Study(spec.study, url, summary)


def train(
    spec: StudySpec,
    url: str,
    *,
    workers: int | None,
    device: str,
    tags: Iterable[str],
    ray: RayWorkers | None,
    on_event: Emit,
) -> RunSummary:
    """Do what ``run`` does; return how it ended, also after a signal."""
    offered = frozenset(tags)
    if ray is None:
        count = workers or default_workers(device, spec.trials).workers
        return run_study(spec, url, workers=count, device=device, tags=offered, on_event=on_event)
    if workers is not None:
        raise UserError("workers is for processes of this machine: use max_workers of hpo.RayWorkers")
    return run_on_ray(spec, url, workers=ray, device=device, tags=offered, on_event=on_event)


def submit(
    study: StudySource,
    storage: str | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    trials: int | None = None,
    priority: int | None = None,
) -> Study:
    """Submit a study for `hpo worker` on any machine; does not train anything here.

    Workers serve studies of a higher ``priority`` first; None keeps it, 0 for a new study. Raises
    ``UserError`` for mistakes, and ``StorageError``.
    """
    spec = study_spec(study, changes, trials)
    url = storage or settings().storage
    with ResultsStore(url) as store:
        submitted = submit_study(store, spec, priority)
    for warning in submitted.warnings:
        warnings.warn(warning, stacklevel=2)
    return Study(spec.study, url)


def load(study: str, storage: str | None = None) -> Study:
    """Return a study of the database. Raises ``UnknownStudyError``."""
    return Study(study, storage or settings().storage)


class Study:
    """A study's results; each method reads the database. A context manager that closes its connections.

    Methods that return data frames need pandas and raise ``UserError`` without it; docs/sql.md describes
    their columns.
    """

    def __init__(self, name: str, storage: str, summary: RunSummary | None = None) -> None:
        self.name = name
        self.summary = summary
        """How the run ended; None unless `hpo.run` returned this object."""
        self._results = Results(storage)
        try:
            with reading(self._results.engine) as connection:
                find_study(connection, name)
        except BaseException:
            self.close()
            raise

    def status(self) -> StudyStatus:
        """Return the study's progress and its workers."""
        return study_status(self._results.engine, self.name)

    def best(self) -> TrialDetail | None:
        """Return the trial of the confirmed configuration, else the one with the best value, or None."""
        number = self.status().best_number
        return None if number is None else self.trial(number)

    def trial(self, number: int) -> TrialDetail:
        """Return everything about one trial; raises ``UserError`` for an unknown number."""
        return trial_detail(self._results.engine, self.name, number)

    def results(self) -> DataFrame:
        """Return one row per trial, with a column per hyperparameter."""
        return self._results.results(self.name)

    def leaderboard(self) -> DataFrame:
        """Return the complete trials, the best first."""
        return self._results.leaderboard(self.name)

    def curves(self) -> DataFrame:
        """Return one row per epoch."""
        return self._results.curves(self.name)

    def layers(self) -> DataFrame:
        """Return one row per layer and probe."""
        return self._results.layers(self.name)

    def findings(self) -> DataFrame:
        """Return one row per finding of a check."""
        return self._results.findings(self.name)

    def attempts(self) -> DataFrame:
        """Return one row per attempt of a worker at a trial."""
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
        return (
            f"<hpo.Study {self.name}: {summary.done} of "
            f"{counted(summary.trials, 'trial is', 'trials are')} over>"
        )


def study_spec(study: StudySource, changes: Mapping[str, Any] | None, trials: int | None) -> StudySpec:
    """Return the study with these changes. Raises ``UserError`` for mistakes."""
    wanted = {**(changes or {}), **({} if trials is None else {"trials": trials})}
    overrides = [f"{name}={json.dumps(value)}" for name, value in wanted.items()]
    if isinstance(study, Mapping):
        return parse_document(study, str(study.get("study", "given")), overrides)
    return load_any_study(str(study), overrides)


def _warn(event: Event) -> None:
    """Let Python warn of what `hpo run` would print about the images."""
    if isinstance(event, StudyReady):
        for warning in event.warnings:
            warnings.warn(warning, stacklevel=1)
