"""What hpo adds to the pages of its studies: notes, pictures and plots, created on request."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from matplotlib.figure import Figure
from plotly.graph_objects import Figure as Plot
from sqlalchemy import Engine

from hpo.artifacts import store
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.trials import study_results
from hpo.errors import ArtifactError, HpoError, StorageError, UserError
from hpo.queries.study import StudyOverview, study_overview
from hpo.queries.tradeoffs import Tradeoffs, study_tradeoffs
from hpo.queries.trial import (
    TrialDetail,
    lowest_recalls,
    trial_detail,
    trial_place,
    trials_with_classes,
    trials_with_layers,
)
from hpo.records import ClassResult
from hpo.reporting.figures import interactive
from hpo.reporting.figures.canvas import to_png
from hpo.reporting.figures.confusion import confusion_picture
from hpo.reporting.figures.filters import first_layer, first_layer_filters
from hpo.reporting.figures.points import StudyPicture, cause_of, study_picture
from hpo.reporting.figures.style import RUNNING
from hpo.reporting.figures.trial import layer_health, trial_curves
from hpo.reporting.notes import best_trials, has_problem, study_note, trial_note
from hpo.storage.studies import results_engine

T = TypeVar("T")

_FRESH_SECONDS = 5.0
"""The age at which a value is refreshed, unless ten times the duration of a refresh is longer."""
_PICTURES_CACHED = 256
"""Each has about 60 kB."""
CURVES, LAYERS, FILTERS, CLASSES = "c", "a", "f", "e"
"""The first letter of a picture's name. The dashboard's route takes hexadecimal digits and dashes."""
_TITLES = {CURVES: "curves", LAYERS: "layers", FILTERS: "first-layer filters", CLASSES: "classes"}


@dataclass(frozen=True)
class StudyAnnotations:
    """What is added to a study's page; notes and pictures of trials by number."""

    note: str
    trial_notes: Mapping[int, str] = field(default_factory=dict)
    pictures: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    plots: Mapping[str, str] = field(default_factory=dict)
    """Plotly's JSON by its id in the page."""


class Annotations:
    """Reads the database at ``url``. All methods return None for a study that hpo did not make."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._studies: dict[tuple[int, str], _Refreshed[StudyAnnotations | None]] = {}
        self._pictures: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        # Matplotlib's settings are global to the process.
        self._drawing_lock = Lock()
        self._engine: Engine | None = None

    def study(self, study_id: int, name: str) -> StudyAnnotations | None:
        """Return the annotations of a study by Optuna's id and name, at most a few seconds old."""
        refreshed = self._studies.setdefault((study_id, name), _Refreshed(lambda: self._read(study_id, name)))
        return refreshed.value()

    def picture(self, trial_id: int, picture: str) -> bytes | None:
        """Return a PNG of a trial by the artifact id that ``study`` gave it."""
        with self._drawing_lock:
            drawn = self._pictures.get((trial_id, picture))
            if drawn is None:
                drawn = self._draw(trial_id, picture)
            if drawn is not None:
                self._pictures[trial_id, picture] = drawn
                if len(self._pictures) > _PICTURES_CACHED:
                    self._pictures.popitem(last=False)
            return drawn

    def close(self) -> None:
        """Close idle connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _reader(self) -> Engine:
        if self._engine is None:
            self._engine = results_engine(self._url)
        return self._engine

    def _read(self, study_id: int, name: str) -> StudyAnnotations | None:
        try:
            engine = self._reader()
            overview = study_overview(engine, name)
            layers = trials_with_layers(engine, name)
            classes = trials_with_classes(engine, name)
            tradeoffs = study_tradeoffs(engine, name)
            lowest = lowest_recalls(engine, name, [trial.number for trial in best_trials(overview)])
        except (StorageError, UserError):  # not a study of hpo, another version of hpo, or no connection
            return None
        findings = study_findings(study_results(engine, name))
        return StudyAnnotations(
            note=study_note(overview, findings, study_id, tradeoffs),
            trial_notes=_trial_notes(overview, lowest),
            pictures=_pictures(overview, layers, classes),
            plots=_plots(engine, overview, layers, tradeoffs),
        )

    def _draw(self, trial_id: int, picture: str) -> bytes | None:
        kind = picture.partition("-")[0]
        try:
            engine = self._reader()
            place = trial_place(engine, trial_id)
            figure = place and _figure(kind, trial_detail(engine, *place))
        except HpoError:
            return None
        return to_png(figure) if figure else None


class _Refreshed(Generic[T]):
    """A value that is recomputed in the background once it is old; until then the old one is returned."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._compute = compute
        self._lock = Lock()
        self._values: list[T] = []
        """Empty, or the latest one."""
        self._refresh_at = 0.0

    def value(self) -> T:
        """Return the value; only the first call waits for it."""
        if self._values and time.monotonic() < self._refresh_at:
            return self._values[0]
        if not self._lock.acquire(blocking=not self._values):
            return self._values[0]
        if not self._values:
            try:
                self._refresh()
            finally:
                self._lock.release()
        else:
            Thread(target=self._refresh_and_release, name="annotations").start()
        return self._values[0]

    def _refresh_and_release(self) -> None:
        try:
            self._refresh()
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        started = time.monotonic()
        self._values = [self._compute()]
        ended = time.monotonic()
        self._refresh_at = ended + max(_FRESH_SECONDS, 10 * (ended - started))


def _trial_notes(overview: StudyOverview, lowest: Mapping[int, ClassResult]) -> dict[int, str]:
    searched = list(overview.spec.get("space", {}))
    ranks = {trial.number: rank for rank, trial in enumerate(best_trials(overview), 1)}
    return {
        trial.number: trial_note(
            trial, searched, ranks.get(trial.number), overview.goal, lowest.get(trial.number)
        )
        for trial in overview.trials
        if trial.number in ranks or has_problem(trial)
    }


def _pictures(
    overview: StudyOverview, layers: set[int], classes: set[int]
) -> dict[int, list[dict[str, Any]]]:
    best = {trial.number for trial in best_trials(overview)}
    with_filters = {number for number in best if _kept_weights(overview.uid, number)}
    now = f"{int(time.time()):x}"
    pictures = {}
    for trial in overview.trials:
        # The picture of a running trial gets a new name each time: browsers cache pictures by name.
        version = now if cause_of(trial) == RUNNING else "0"
        kinds = [CURVES]
        if trial.number in classes:
            kinds.append(CLASSES)
        if trial.number in layers and (trial.number in best or has_problem(trial)):
            kinds.append(LAYERS)
        if trial.number in with_filters:
            kinds.append(FILTERS)
        pictures[trial.number] = [_artifact(kind, version) for kind in kinds]
    return pictures


def _kept_weights(study_uid: str, number: int) -> Path | None:
    try:
        return store.find(study_uid, number)
    except ArtifactError:  # another user's: a page without this picture
        return None


def _artifact(kind: str, version: str) -> dict[str, Any]:
    filename = f"{_TITLES[kind]}.png"
    return {
        "artifact_id": f"{kind}-{version}",
        "filename": filename,
        "mimetype": "image/png",
        "encoding": None,
    }


def _plots(
    engine: Engine, overview: StudyOverview, layers: set[int], tradeoffs: Tradeoffs | None
) -> dict[str, str]:
    picture = study_picture(engine, overview)
    plots = {"hpo-curves": interactive.curves_plot(picture)} if picture.points else {}
    axis = _failure_axis(picture)
    if axis is not None and picture.points:
        plots["hpo-failures"] = interactive.failures_plot(picture, axis)
    if tradeoffs is not None and tradeoffs.points:
        plots["hpo-tradeoffs"] = interactive.tradeoffs_plot(overview.name, tradeoffs, overview.goal)
    best = next((trial for trial in best_trials(overview) if trial.number in layers), None)
    if best is not None:
        plots["hpo-layers"] = interactive.layers_plot(trial_detail(engine, overview.name, best.number))
    return {name: _json(plot) for name, plot in plots.items()}


def _failure_axis(picture: StudyPicture) -> Any:
    """Return the learning rate, which causes most failures, else the first hyperparameter."""
    by_name = {axis.name: axis for axis in picture.axes}
    return by_name.get("lr") or next(iter(by_name.values()), None)


def _json(plot: Plot) -> str:
    return str(plot.to_json())


def _figure(kind: str, trial: TrialDetail) -> Figure | None:
    if kind == CURVES:
        return trial_curves(trial)
    if kind == CLASSES and trial.classes:
        return confusion_picture(trial.classes)
    if kind == LAYERS and trial.layers:
        return layer_health(trial)
    if kind == FILTERS:
        folder = _kept_weights(trial.study_uid, trial.number)
        weights = None if folder is None else first_layer(folder)
        return None if weights is None else first_layer_filters(weights)
    return None
