"""Adds what hpo knows about a study to the dashboard's answers, without writing to the database."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from typing import Any

from bottle import Bottle, HTTPResponse, Route, request, response
from optuna.storages import BaseStorage

from hpo.reporting.dashboard.annotations import Annotations, StudyAnnotations
from hpo.reporting.dashboard.csv_table import csv_answer
from hpo.reporting.dashboard.frontend import patched_script, serve_page, serve_static
from hpo.reporting.dashboard.internals import (
    InMemoryCache,
    get_cached_extra_study_property,
    get_trials,
    trials_cache,
)
from hpo.reporting.dashboard.trial_texts import TrialTexts, annotate_trial, shorten_attributes

_PAGE = ("GET", "/dashboard<:re:(/.*)?>")
_STATIC = ("GET", "/static/<filename:path>")
_STUDY = ("GET", "/api/studies/<study_id:int>")
_CSV = ("GET", "/csv/<study_id:int>")
_STUDY_ARTIFACT = ("GET", "/artifacts/<study_id:int>/<artifact_id:re:[0-9a-fA-F-]+>")
_ARTIFACT = ("GET", "/artifacts/<study_id:int>/<trial_id:int>/<artifact_id:re:[0-9a-fA-F-]+>")
_WORTH_COMPRESSING = 100_000
"""In characters: a browser on this machine gets a shorter answer as quickly without compression."""


class Plugin:
    """A Bottle plugin: notes, pictures and plots for hpo's studies, and fast answers for all studies."""

    name = "hpo-additions"
    api = 2

    def __init__(self, storage: BaseStorage, annotations: Annotations) -> None:
        self._storage, self._annotations = storage, annotations
        self._cache = InMemoryCache()
        self._texts = TrialTexts()

    def setup(self, app: Bottle) -> None:
        """Share the dashboard's cache of trials."""
        self._cache = trials_cache(app)

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Return the function that answers the route."""
        place = (route.method, route.rule)
        if place == _STUDY:
            return lambda study_id: self._study(callback, study_id)
        if place == _PAGE:
            return lambda: serve_page(callback)
        if place == _STATIC:
            return lambda filename: serve_static(callback, filename)
        if place == _CSV:
            return lambda study_id: csv_answer(self._storage, study_id)
        if place == _STUDY_ARTIFACT:
            return lambda **ids: _stored(callback, **ids)
        if place == _ARTIFACT:
            return lambda **ids: self._artifact(callback, **ids)
        return callback

    def prepare(self) -> None:
        """Compute the answers for the newest study, which the first visitor is most likely to open."""
        patched_script()
        study = max(self._storage.get_all_studies(), key=lambda each: each._study_id, default=None)
        if study is not None:
            trials = get_trials(self._cache, self._storage, study._study_id)
            get_cached_extra_study_property(self._cache, study._study_id, trials)
            annotations = self._annotations.study(study._study_id, study.study_name)
            self._trials(study._study_id, 0, annotations, set())

    def _study(self, callback: Callable[..., Any], study_id: int) -> Any:
        after = request.params.get("after", "0")
        if not (after.isascii() and after.isdecimal()):
            return callback(study_id=study_id)  # it reports the error
        request.params.replace("after", str(sys.maxsize))  # all but the trials, which follow below
        details = callback(study_id=study_id)
        if not (isinstance(details, dict) and "trials" in details):
            return details
        annotations = self._annotations.study(study_id, details["name"])
        if annotations is not None:
            annotate_study(details, annotations, study_id)
        del details["trials"]
        best = {best["number"] for best in details["best_trials"]}
        trials = self._trials(study_id, int(after), annotations, best)
        return _compressed(f'{json.dumps(details)[:-1]}, "trials": {trials}}}')

    def _trials(self, study_id: int, after: int, annotations: StudyAnnotations | None, best: set[int]) -> str:
        trials = get_trials(self._cache, self._storage, study_id)[after:]
        attrs = self._storage.get_study_system_attrs(study_id)
        return self._texts.to_json(study_id, trials, attrs, annotations, best)

    def _artifact(self, callback: Callable[..., Any], study_id: int, trial_id: int, artifact_id: str) -> Any:
        if artifact_id[1:2] != "-":  # Optuna's artifacts are named by UUIDs
            return _stored(callback, study_id=study_id, trial_id=trial_id, artifact_id=artifact_id)
        png = self._annotations.picture(trial_id, artifact_id)
        if png is None:
            return _no_picture()
        return HTTPResponse(png, headers={"Content-Type": "image/png"})


def annotate_study(study: dict[str, Any], annotations: StudyAnnotations, study_id: int) -> None:
    """Add note, plots and pictures to the study as the page gets it. A note written by a person stays."""
    if study["note"]["version"] == 0:
        study["note"]["body"] = annotations.note
    study["plotly_graph_objects"] += [
        {"id": name, "graph_object": plot} for name, plot in annotations.plots.items()
    ]
    for trial in study["best_trials"]:
        shorten_attributes(trial)
        annotate_trial(trial, annotations, study_id)


def _compressed(text: str) -> str | bytes:
    """Return the body, compressed if long: a study of thousands of trials shrinks to a tenth."""
    response.add_header("Vary", "Accept-Encoding")
    if len(text) < _WORTH_COMPRESSING or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return text
    response.set_header("Content-Encoding", "gzip")
    return gzip.compress(text.encode(), compresslevel=1)


def _stored(callback: Callable[..., Any], **ids: Any) -> Any:
    """Return the artifact that the dashboard itself has under these ids."""
    try:
        return callback(**ids)
    except KeyError:  # Optuna has no such study or trial
        return _no_picture()


def _no_picture() -> HTTPResponse:
    return HTTPResponse("this picture does not exist\n", 404, {"Content-Type": "text/plain"})
