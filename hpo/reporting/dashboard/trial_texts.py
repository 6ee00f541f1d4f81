"""The trials of a study as JSON for the page. The JSON of ended trials is cached."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from optuna.trial import FrozenTrial

from hpo.reporting.dashboard.annotations import StudyAnnotations
from hpo.reporting.dashboard.internals import (
    get_note_from_system_attrs,
    list_trial_artifacts,
    serialize_frozen_trial,
)

_MANY = 100
"""Of more trials, the page gets less of each."""
_CURVES = 30
"""Curves sent of many trials: a browser needs a second for a hundred, and the plot of hpo a third of that."""
_CHANGING = ("note", "artifacts", "intermediate_values")
"""Parts of an ended trial that still change: with other trials, or when a person writes a note."""
_IN_NOTE = ("verdict", "remedy")
_ATTRIBUTE_WIDTH = 90
"""The page does not wrap attributes: a long one makes the whole page that wide."""


@dataclass(frozen=True)
class _CachedText:
    """The JSON of a trial without its end, and that of its curve."""

    trial: FrozenTrial
    form: tuple[bool, bool]
    """Whether hpo knows the study, and whether the trial is one of many."""
    start: str
    curve: str


class TrialTexts:
    """Serializes trials as optuna-dashboard does, with the annotations of hpo."""

    def __init__(self) -> None:
        self._cache: dict[int, _CachedText] = {}
        # Two first visitors: the second gets what is computed for the other.
        self._lock = Lock()

    def to_json(
        self,
        study_id: int,
        trials: Sequence[FrozenTrial],
        attrs: Mapping[str, Any],
        annotations: StudyAnnotations | None,
        best: Collection[int],
    ) -> str:
        """Return a JSON array. ``attrs``: the study's system attributes; ``best``: its best trials' numbers.

        Of many trials, most curves are left out, since the page draws a line for each and could not draw them
        all in time; the plot of hpo joins them into one line and has more, and each trial has its picture.
        The distributions of the parameters, half of the text, are left out too: the page takes them from the
        study's search space.
        """
        many = len(trials) > _MANY
        form = (annotations is not None, many)
        with self._lock:
            cached = [self._text(study_id, trial, form) for trial in trials]
        step = -(-len(trials) // _CURVES) if many else 1
        texts = []
        for trial, text in zip(trials, cached, strict=True):
            with_curve = trial.number % step == 0 or trial.number in best or not trial.state.is_finished()
            curve = text.curve if with_curve else "[]"
            end = _changing_part(study_id, trial, attrs, annotations)
            texts.append(f'{text.start}, "intermediate_values": {curve}, {end}')
        return f"[{', '.join(texts)}]"

    def _text(self, study_id: int, trial: FrozenTrial, form: tuple[bool, bool]) -> _CachedText:
        cached = self._cache.get(trial._trial_id)
        # The same trial: a database may reuse the id of a deleted one.
        if cached is not None and cached.trial is trial and cached.form == form:
            return cached
        whole = serialize_frozen_trial(study_id, trial, {})
        curve = json.dumps(whole["intermediate_values"])
        annotated, many = form
        if annotated:
            shorten_attributes(whole)
        if many:
            for param in whole["params"]:
                del param["distribution"]
        start = json.dumps({name: value for name, value in whole.items() if name not in _CHANGING})[:-1]
        text = _CachedText(trial, form, start, curve)
        if trial.state.is_finished():
            self._cache[trial._trial_id] = text
        return text


def _changing_part(
    study_id: int, trial: FrozenTrial, attrs: Mapping[str, Any], annotations: StudyAnnotations | None
) -> str:
    part = {
        "trial_id": trial._trial_id,
        "number": trial.number,
        "note": get_note_from_system_attrs(attrs, trial._trial_id),
        "artifacts": list_trial_artifacts(attrs, trial._system_attrs, trial),
    }
    if annotations is not None:
        annotate_trial(part, annotations, study_id)
    return json.dumps({"note": part["note"], "artifacts": part["artifacts"]})[1:]


def shorten_attributes(trial: dict[str, Any]) -> None:
    """Cut the attributes that the trial's note has in full."""
    for attribute in trial["user_attrs"]:
        if attribute["key"] in _IN_NOTE:
            attribute["value"] = textwrap.shorten(attribute["value"], _ATTRIBUTE_WIDTH, placeholder=" …")


def annotate_trial(trial: dict[str, Any], annotations: StudyAnnotations, study_id: int) -> None:
    """Add pictures and a note to a trial. A note written by a person stays."""
    pictures = annotations.pictures.get(trial["number"], ())
    trial["artifacts"] = [*pictures, *trial["artifacts"]]
    if trial["note"]["version"] == 0:
        # Also in the note, where the page shows them large.
        folder = f"/artifacts/{study_id}/{trial['trial_id']}"
        images = [f"![{each['filename']}]({folder}/{each['artifact_id']})" for each in pictures]
        parts = [annotations.trial_notes.get(trial["number"], ""), *images]
        trial["note"]["body"] = "\n\n".join(filter(None, parts))
