"""Puts what hpo knows into the dashboard's answers, without a write to the database."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from typing import Any

from bottle import Bottle, HTTPResponse, Route, request, response
from optuna.storages import BaseStorage
from optuna_dashboard._inmemory_cache import InMemoryCache, get_cached_extra_study_property
from optuna_dashboard._storage import get_trials

from hpo.reporting.dashboard.annotations import Annotations, StudyKnowledge
from hpo.reporting.dashboard.bundle import page_answer, static_answer, the_script
from hpo.reporting.dashboard.csv_table import csv_answer
from hpo.reporting.dashboard.trial_texts import TrialTexts, add_to_trial, look_once, shorten

_PAGE = ("GET", "/dashboard<:re:(/.*)?>")
_STATIC = ("GET", "/static/<filename:path>")
_STUDY = ("GET", "/api/studies/<study_id:int>")
_CSV = ("GET", "/csv/<study_id:int>")
_STUDY_ARTIFACT = ("GET", "/artifacts/<study_id:int>/<artifact_id:re:[0-9a-fA-F-]+>")
_ARTIFACT = ("GET", "/artifacts/<study_id:int>/<trial_id:int>/<artifact_id:re:[0-9a-fA-F-]+>")
_WORTH_PACKING = 100_000
"""In characters: what a browser on this machine gets as soon without."""


class Plugin:
    """A Bottle plugin: notes, pictures and plots for studies that hpo made, and quick answers for all."""

    name = "hpo-additions"
    api = 2

    def __init__(self, storage: BaseStorage, knowledge: Annotations) -> None:
        self._storage, self._knowledge = storage, knowledge
        self._cache = InMemoryCache()
        self._texts = TrialTexts()

    def setup(self, app: Bottle) -> None:
        """Share the dashboard's cache of trials."""
        self._cache = app._inmemory_cache
        look_once(self._cache)

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """What answers the route."""
        place = (route.method, route.rule)
        if place == _STUDY:
            return lambda study_id: self._study(callback, study_id)
        if place == _PAGE:
            return lambda: page_answer(callback)
        if place == _STATIC:
            return lambda filename: static_answer(callback, filename)
        if place == _CSV:
            return lambda study_id: csv_answer(self._storage, study_id)
        if place == _STUDY_ARTIFACT:
            return lambda **ids: _stored(callback, **ids)
        if place == _ARTIFACT:
            return lambda **ids: self._artifact(callback, **ids)
        return callback

    def _study(self, callback: Callable[..., Any], study_id: int) -> Any:
        after = request.params.get("after", "0")
        if not (after.isascii() and after.isdecimal()):
            return callback(study_id=study_id)  # it says what is wrong
        request.params.replace("after", str(sys.maxsize))  # all but the trials, which are ours to send
        found = callback(study_id=study_id)
        if not (isinstance(found, dict) and "trials" in found):
            return found
        known = self._knowledge.study(study_id, found["name"])
        if known is not None:
            add(found, known, study_id)
        del found["trials"]
        texts = self._trials(study_id, int(after), known, {best["number"] for best in found["best_trials"]})
        return _packed(f'{json.dumps(found)[:-1]}, "trials": {texts}}}')

    def prepare(self) -> None:
        """Make the answers for the newest study, which the first visitor most likely asks for."""
        the_script()
        study = max(self._storage.get_all_studies(), key=lambda each: each._study_id, default=None)
        if study is not None:
            trials = get_trials(self._cache, self._storage, study._study_id)
            get_cached_extra_study_property(self._cache, study._study_id, trials)
            known = self._knowledge.study(study._study_id, study.study_name)
            self._trials(study._study_id, 0, known, set())

    def _trials(self, study_id: int, after: int, known: StudyKnowledge | None, best: set[int]) -> str:
        trials = get_trials(self._cache, self._storage, study_id)[after:]
        attrs = self._storage.get_study_system_attrs(study_id)
        return self._texts.of(study_id, trials, attrs, known, best)

    def _artifact(self, callback: Callable[..., Any], study_id: int, trial_id: int, artifact_id: str) -> Any:
        if artifact_id[1:2] != "-":  # Optuna's have the names of UUIDs
            return _stored(callback, study_id=study_id, trial_id=trial_id, artifact_id=artifact_id)
        png = self._knowledge.picture(trial_id, artifact_id)
        if png is None:
            return _no_picture()
        return HTTPResponse(png, headers={"Content-Type": "image/png"})


def _packed(text: str) -> str | bytes:
    """The answer's body; packed, a study of thousands of trials is a tenth."""
    response.add_header("Vary", "Accept-Encoding")
    if len(text) < _WORTH_PACKING or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return text
    response.set_header("Content-Encoding", "gzip")
    return gzip.compress(text.encode(), compresslevel=1)


def _stored(callback: Callable[..., Any], **ids: Any) -> Any:
    """What the dashboard itself has under these ids."""
    try:
        return callback(**ids)
    except KeyError:  # so Optuna says that it has no such study or trial
        return _no_picture()


def _no_picture() -> HTTPResponse:
    return HTTPResponse("there is no such picture\n", 404, {"Content-Type": "text/plain"})


def add(study: dict[str, Any], known: StudyKnowledge, study_id: int) -> None:
    """Add to a study as the dashboard sends it to the page. A note that a person wrote stays."""
    if study["note"]["version"] == 0:
        study["note"]["body"] = known.note
    study["plotly_graph_objects"] += [
        {"id": name, "graph_object": plot} for name, plot in known.plots.items()
    ]
    for trial in study["best_trials"]:
        shorten(trial)
        add_to_trial(trial, known, study_id)
