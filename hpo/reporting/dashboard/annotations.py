"""What hpo knows of a study and Optuna does not: notes, pictures and plots, made as they are asked for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from matplotlib.figure import Figure
from plotly.graph_objects import Figure as Plot
from sqlalchemy import Engine

from hpo.artifacts import store
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.refresh import study_results
from hpo.errors import HpoError, StorageError, UserError
from hpo.queries.study import StudyOverview, study_overview
from hpo.queries.trial import TrialDetail, trial_detail, trial_place, trials_with_layers
from hpo.reporting.figures import interactive
from hpo.reporting.figures.canvas import to_png
from hpo.reporting.figures.filters import first_layer, first_layer_filters
from hpo.reporting.figures.points import StudyPicture, cause_of, picture_of
from hpo.reporting.figures.style import RUNNING
from hpo.reporting.figures.trial import layer_health, trial_curves
from hpo.reporting.notes import best_trials, is_unwell, study_note, trial_note
from hpo.storage.studies import results_engine

T = TypeVar("T")

_FRESH_SECONDS = 5.0
"""How old an answer may be before it is made again, or ten times what that takes if it is longer."""
_PICTURES_HELD = 256
"""Of about 60 kB."""
CURVES, LAYERS, FILTERS = "c", "a", "f"
"""What the names of pictures begin with. The dashboard's route takes hexadecimal digits and dashes."""
_TITLES = {CURVES: "curves", LAYERS: "layers", FILTERS: "first-layer filters"}


@dataclass(frozen=True)
class StudyKnowledge:
    """What is added to a study's page, by the trials' numbers."""

    note: str
    trial_notes: Mapping[int, str] = field(default_factory=dict)
    pictures: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    plots: Mapping[str, str] = field(default_factory=dict)
    """Plotly's JSON by its name in the page."""


class Annotations:
    """Reads the database of ``url``; everything it gives is None where hpo does not know the study."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._studies: dict[tuple[int, str], _Kept[StudyKnowledge | None]] = {}
        self._pictures: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        # matplotlib's settings are global to the process.
        self._drawing = Lock()
        self._engine: Engine | None = None

    def study(self, study_id: int, name: str) -> StudyKnowledge | None:
        """Of a study by Optuna's id and name; at most a few seconds old."""
        known = self._studies.setdefault((study_id, name), _Kept(lambda: self._read(study_id, name)))
        return known.value()

    def picture(self, trial_id: int, picture: str) -> bytes | None:
        """A PNG of a trial, by the name that ``study`` gave it."""
        with self._drawing:
            drawn = self._pictures.get((trial_id, picture))
            if drawn is None:
                drawn = self._draw(trial_id, picture)
            if drawn is not None:
                self._pictures[trial_id, picture] = drawn
                if len(self._pictures) > _PICTURES_HELD:
                    self._pictures.popitem(last=False)
            return drawn

    def close(self) -> None:
        """Close the connections that are not in use."""
        if self._engine is not None:
            self._engine.dispose()

    def _reader(self) -> Engine:
        if self._engine is None:
            self._engine = results_engine(self._url)
        return self._engine

    def _read(self, study_id: int, name: str) -> StudyKnowledge | None:
        try:
            engine = self._reader()
            overview = study_overview(engine, name)
            layers = trials_with_layers(engine, name)
        except (StorageError, UserError):  # not of hpo, of another version of it, or away
            return None
        findings = study_findings(study_results(engine, name))
        return StudyKnowledge(
            note=study_note(overview, findings, study_id),
            trial_notes=_trial_notes(overview),
            pictures=_pictures(overview, layers),
            plots=_plots(engine, overview, layers),
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


class _Kept(Generic[T]):
    """A value that is made again in the background once it is old: who asks gets the last one meanwhile."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: list[T] = []
        self._again_at = 0.0

    def value(self) -> T:
        """The value; waits only for the first."""
        if self._made and time.monotonic() < self._again_at:
            return self._made[0]
        if not self._lock.acquire(blocking=not self._made):
            return self._made[0]
        if not self._made:
            try:
                self._renew()
            finally:
                self._lock.release()
        else:
            Thread(target=self._renew_and_release, name="knowledge").start()
        return self._made[0]

    def _renew_and_release(self) -> None:
        try:
            self._renew()
        finally:
            self._lock.release()

    def _renew(self) -> None:
        begun = time.monotonic()
        self._made = [self._make()]
        ended = time.monotonic()
        self._again_at = ended + max(_FRESH_SECONDS, 10 * (ended - begun))


def _trial_notes(overview: StudyOverview) -> dict[int, str]:
    searched = list(overview.spec.get("space", {}))
    ranks = {trial.number: rank for rank, trial in enumerate(best_trials(overview), 1)}
    return {
        trial.number: trial_note(trial, searched, ranks.get(trial.number))
        for trial in overview.trials
        if trial.number in ranks or is_unwell(trial)
    }


def _pictures(overview: StudyOverview, layers: set[int]) -> dict[int, list[dict[str, Any]]]:
    best = {trial.number for trial in best_trials(overview)}
    with_filters = {number for number in best if store.find(overview.uid, number)}
    now = f"{int(time.time()):x}"
    pictures = {}
    for trial in overview.trials:
        # A running trial's picture has another name each time: browsers keep pictures by their name.
        version = now if cause_of(trial) == RUNNING else "0"
        kinds = [CURVES]
        if trial.number in layers and (trial.number in best or is_unwell(trial)):
            kinds.append(LAYERS)
        if trial.number in with_filters:
            kinds.append(FILTERS)
        pictures[trial.number] = [_artifact(kind, version) for kind in kinds]
    return pictures


def _artifact(kind: str, version: str) -> dict[str, Any]:
    filename = f"{_TITLES[kind]}.png"
    return {
        "artifact_id": f"{kind}-{version}",
        "filename": filename,
        "mimetype": "image/png",
        "encoding": None,
    }


def _plots(engine: Engine, overview: StudyOverview, layers: set[int]) -> dict[str, str]:
    picture = picture_of(engine, overview)
    plots = {"hpo-curves": interactive.curves_by_verdict(picture)} if picture.points else {}
    axis = _failure_axis(picture)
    if axis is not None and picture.points:
        plots["hpo-failures"] = interactive.failures_over(picture, axis)
    best = next((trial for trial in best_trials(overview) if trial.number in layers), None)
    if best is not None:
        plots["hpo-layers"] = interactive.layer_health(trial_detail(engine, overview.name, best.number))
    return {name: _json(plot) for name, plot in plots.items()}


def _failure_axis(picture: StudyPicture) -> Any:
    """The learning rate, which most failures come from; else the first hyperparameter."""
    by_name = {axis.name: axis for axis in picture.axes}
    return by_name.get("lr") or next(iter(by_name.values()), None)


def _json(plot: Plot) -> str:
    return str(plot.to_json())


def _figure(kind: str, trial: TrialDetail) -> Figure | None:
    if kind == CURVES:
        return trial_curves(trial)
    if kind == LAYERS and trial.layers:
        return layer_health(trial)
    if kind == FILTERS:
        folder = store.find(trial.study_uid, trial.number)
        weights = None if folder is None else first_layer(folder)
        return None if weights is None else first_layer_filters(weights)
    return None
