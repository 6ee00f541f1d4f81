"""What the trainings of users keep of their best epoch: saved if the trial is one of its study's best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo import provenance
from hpo.artifacts import store as artifact_store
from hpo.artifacts.ranking import is_to_keep
from hpo.config.study import StudySpec
from hpo.records import EpochResult
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.storage.url import parse_url, place


@dataclass(frozen=True)
class OwnTrial:
    """A trial of the user's own training."""

    spec: StudySpec
    study_uid: str
    lease: Lease
    number: int
    parameters: Mapping[str, Any]
    """The values that it was given."""


@dataclass(frozen=True)
class OwnStates:
    """The states of a trial's best epoch: arrays as safetensors, and in ``plain`` what is no array."""

    content: bytes
    plain: Mapping[str, Any]


def save_states_if_best(
    store: ResultsStore, trial: OwnTrial, best: EpochResult, value: float, states: OwnStates
) -> None:
    """Save the states if the trial, with this value, is one of those to keep. Raises ``OSError``."""
    spec, lease = trial.spec, trial.lease
    score = spec.goal.score(value)
    if not store.read(lambda reading: is_to_keep(reading, lease, trial.number, score, spec.kept_trials)):
        return
    document = {
        "study": spec.study,
        "study_uid": trial.study_uid,
        "stage": lease.stage,
        "slot": lease.slot,
        "trial": trial.number,
        "objective": spec.objective,
        "direction": spec.goal.direction,
        "value": value,
        "best_epoch": best.epoch,
        "configuration": dict(trial.parameters),
        "states": states.plain,
        "code_version": provenance.running_code(),
        "package_versions": provenance.running_packages(),
    }
    url = place(parse_url(store.url))
    owner = {"study": spec.study, "study_uid": trial.study_uid, "database": url}
    artifact_store.save_content(trial.study_uid, trial.number, lease.token, states.content, document, owner)
