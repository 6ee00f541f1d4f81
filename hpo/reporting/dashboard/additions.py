"""Puts what hpo knows into the dashboard's answers, without a write to the database."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

from bottle import HTTPResponse, Route

from hpo.reporting.dashboard.knowledge import Knowledge, StudyKnowledge

_STUDY = ("GET", "/api/studies/<study_id:int>")
_STUDY_ARTIFACT = ("GET", "/artifacts/<study_id:int>/<artifact_id:re:[0-9a-fA-F-]+>")
_ARTIFACT = ("GET", "/artifacts/<study_id:int>/<trial_id:int>/<artifact_id:re:[0-9a-fA-F-]+>")


_SAID_IN_NOTE = ("verdict", "remedy")
_ATTRIBUTE_WIDTH = 90
"""The page does not wrap attributes: a long one makes the whole page as wide."""
_CURVES = 100
_ENDED = frozenset({"Complete", "Pruned", "Fail"})


class Additions:
    """A Bottle plugin: notes, pictures and plots for studies that hpo made."""

    name = "hpo-additions"
    api = 2

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """What answers the route."""
        place = (route.method, route.rule)
        if place == _STUDY:
            return lambda study_id: self._study(callback, study_id)
        if place == _STUDY_ARTIFACT:
            return lambda **ids: _stored(callback, **ids)
        if place == _ARTIFACT:
            return lambda **ids: self._artifact(callback, **ids)
        return callback

    def _study(self, callback: Callable[..., Any], study_id: int) -> Any:
        found = callback(study_id=study_id)
        if isinstance(found, dict) and "trials" in found:
            thin(found)
            known = self._knowledge.study(study_id, found["name"])
            if known is not None:
                add(found, known, study_id)
        return found

    def _artifact(self, callback: Callable[..., Any], study_id: int, trial_id: int, artifact_id: str) -> Any:
        if artifact_id[1:2] != "-":  # Optuna's have the names of UUIDs
            return _stored(callback, study_id=study_id, trial_id=trial_id, artifact_id=artifact_id)
        png = self._knowledge.picture(trial_id, artifact_id)
        if png is None:
            return _no_picture()
        return HTTPResponse(png, headers={"Content-Type": "image/png"})


def _stored(callback: Callable[..., Any], **ids: Any) -> Any:
    """What the dashboard itself has under these ids."""
    try:
        return callback(**ids)
    except KeyError:  # so Optuna says that it has no such study or trial
        return _no_picture()


def _no_picture() -> HTTPResponse:
    return HTTPResponse("there is no such picture\n", 404, {"Content-Type": "text/plain"})


def thin(study: dict[str, Any]) -> None:
    """Leave out the curves of most ended trials where the page could not draw them all.

    It makes a line of its own for each, of which a thousand take a browser ten seconds. Our plot of curves
    joins them and has more, and each trial's picture has its own.
    """
    trials = study["trials"]
    step = -(-len(trials) // _CURVES)
    best = {trial["number"] for trial in study["best_trials"]}
    for trial in trials:
        if trial["number"] % step and trial["state"] in _ENDED and trial["number"] not in best:
            trial["intermediate_values"] = []


def add(study: dict[str, Any], known: StudyKnowledge, study_id: int) -> None:
    """Add to a study as the dashboard sends it to the page. A note that a person wrote stays."""
    if study["note"]["version"] == 0:
        study["note"]["body"] = known.note
    study["plotly_graph_objects"] += [
        {"id": name, "graph_object": plot} for name, plot in known.plots.items()
    ]
    for trial in (*study["trials"], *study["best_trials"]):
        pictures = known.pictures.get(trial["number"], ())
        trial["artifacts"] = [*pictures, *trial["artifacts"]]
        for attribute in trial["user_attrs"]:
            if attribute["key"] in _SAID_IN_NOTE:
                attribute["value"] = textwrap.shorten(attribute["value"], _ATTRIBUTE_WIDTH, placeholder=" …")
        if trial["note"]["version"] == 0:
            # In the note too, where they are large.
            folder = f"/artifacts/{study_id}/{trial['trial_id']}"
            shown = [f"![{each['filename']}]({folder}/{each['artifact_id']})" for each in pictures]
            parts = [known.trial_notes.get(trial["number"], ""), *shown]
            trial["note"]["body"] = "\n\n".join(filter(None, parts))
