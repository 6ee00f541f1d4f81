"""The trials of a study as JSON for the page; what was made of a trial that is over is kept."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from optuna_dashboard._inmemory_cache import InMemoryCache, _CachedExtraStudyProperty
from optuna_dashboard._note import get_note_from_system_attrs
from optuna_dashboard._serializer import serialize_frozen_trial
from optuna_dashboard.artifact._backend import list_trial_artifacts

from hpo.reporting.dashboard.annotations import StudyKnowledge

_MANY = 100
"""Of more trials, what the page can do without is left out."""
_CURVES = 30
"""What is sent of many: a hundred curves take a browser a second, our plot of them a third of it."""
_CHANGING = ("note", "artifacts", "intermediate_values")
"""What the page gets of a trial that is over changes with other trials, and with who writes notes."""
_SAID_IN_NOTE = ("verdict", "remedy")
_ATTRIBUTE_WIDTH = 90
"""The page does not wrap attributes: a long one makes the whole page as wide."""


@dataclass(frozen=True)
class _Text:
    """The JSON of a trial without its end, and of its curve."""

    trial: FrozenTrial
    form: tuple[bool, bool]
    """Does hpo know the study? Is the trial one of many?"""
    start: str
    curve: str


class TrialTexts:
    """Trials as optuna-dashboard would send them, with what hpo knows of them."""

    def __init__(self) -> None:
        self._kept: dict[int, _Text] = {}
        # Two visitors that come first: the second gets what is made for the other.
        self._making = Lock()

    def of(
        self,
        study_id: int,
        trials: Sequence[FrozenTrial],
        attrs: Mapping[str, Any],
        known: StudyKnowledge | None,
        best: Collection[int],
    ) -> str:
        """A JSON array. ``attrs``: the study's system attributes; ``best``: numbers of its best trials.

        The curves of most ended trials are left out where the page could not draw them all soon: it makes a
        line of its own for each. Our plot of curves joins them and has more, and each trial's picture its
        own. Of many trials the distributions of parameters are left out too, half of all text: the page reads
        them from the study's search space.
        """
        many = len(trials) > _MANY
        with self._making:
            starts = [self._text(study_id, trial, (known is not None, many)) for trial in trials]
        step = -(-len(trials) // _CURVES) if many else 1
        texts = []
        for trial, text in zip(trials, starts, strict=True):
            drawn = trial.number % step == 0 or trial.number in best or not trial.state.is_finished()
            rest = self._rest(study_id, trial, attrs, known)
            curve = text.curve if drawn else "[]"
            texts.append(f'{text.start}, "intermediate_values": {curve}, {rest}')
        return f"[{', '.join(texts)}]"

    def _text(self, study_id: int, trial: FrozenTrial, form: tuple[bool, bool]) -> _Text:
        kept = self._kept.get(trial._trial_id)
        # Of another trial, if the database gave the id of a deleted one again.
        if kept is not None and kept.trial is trial and kept.form == form:
            return kept
        whole = serialize_frozen_trial(study_id, trial, {})
        curve = json.dumps(whole["intermediate_values"])
        known, many = form
        if known:
            shorten(whole)
        if many:
            for param in whole["params"]:
                del param["distribution"]
        start = json.dumps({name: value for name, value in whole.items() if name not in _CHANGING})[:-1]
        text = _Text(trial, form, start, curve)
        if trial.state.is_finished():
            self._kept[trial._trial_id] = text
        return text

    def _rest(
        self, study_id: int, trial: FrozenTrial, attrs: Mapping[str, Any], known: StudyKnowledge | None
    ) -> str:
        rest = {
            "trial_id": trial._trial_id,
            "number": trial.number,
            "note": get_note_from_system_attrs(attrs, trial._trial_id),
            "artifacts": list_trial_artifacts(attrs, trial._system_attrs, trial),
        }
        if known is not None:
            add_to_trial(rest, known, study_id)
        return json.dumps({"note": rest["note"], "artifacts": rest["artifacts"]})[1:]


def shorten(trial: dict[str, Any]) -> None:
    """Cut the attributes that the trial's note has in full."""
    for attribute in trial["user_attrs"]:
        if attribute["key"] in _SAID_IN_NOTE:
            attribute["value"] = textwrap.shorten(attribute["value"], _ATTRIBUTE_WIDTH, placeholder=" …")


def add_to_trial(trial: dict[str, Any], known: StudyKnowledge, study_id: int) -> None:
    """Add pictures and a note to a trial. A note that a person wrote stays."""
    pictures = known.pictures.get(trial["number"], ())
    trial["artifacts"] = [*pictures, *trial["artifacts"]]
    if trial["note"]["version"] == 0:
        # In the note too, where they are large.
        folder = f"/artifacts/{study_id}/{trial['trial_id']}"
        shown = [f"![{each['filename']}]({folder}/{each['artifact_id']})" for each in pictures]
        parts = [known.trial_notes.get(trial["number"], ""), *shown]
        trial["note"]["body"] = "\n\n".join(filter(None, parts))


def look_once(cache: InMemoryCache) -> None:
    """Let optuna-dashboard look once at a trial that is over for what trials have in common."""
    cache._cached_extra_study_property_cache = _Common()


class _Common(dict[int, "_Seen"]):
    def get(self, study_id: int, default: Any = None) -> Any:
        return self.setdefault(study_id, _Seen())


class _Seen(_CachedExtraStudyProperty):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self._over: set[int] = set()
        self._spaces: set[frozenset[tuple[str, BaseDistribution]]] = set()

    def update(self, trials: list[FrozenTrial]) -> None:
        """Take in trials that are new or were not over."""
        new = [trial for trial in trials if trial.number not in self._over]
        self._cursor = -1
        super().update(new)
        self._over.update(trial.number for trial in new if trial.state.is_finished())

    def _update_search_space(self, trial: FrozenTrial) -> None:
        space = frozenset(trial.distributions.items())
        if space not in self._spaces:
            super()._update_search_space(trial)
            self._spaces.add(space)
