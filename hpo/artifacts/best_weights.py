"""The weights of a trial's best epoch: held while it trains, saved if it is one of the study's best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hpo import provenance
from hpo.artifacts import store as artifact_store
from hpo.artifacts.ranking import is_to_keep, trials_to_keep
from hpo.config.configuration import Configuration
from hpo.config.objective import ACCURACY, Objective
from hpo.config.study import StudySpec
from hpo.data.datasets import Dataset
from hpo.errors import ArtifactError
from hpo.records import EpochResult, stored
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.storage.url import parse_url, place
from hpo.training.network_state import network_state


@dataclass
class BestWeights:
    """The weights of the best epoch so far; of equals the first, like the trial's ``best_epoch``."""

    objective: Objective = ACCURACY
    epoch: int = 0
    """0 before the first epoch."""
    value: float = math.nan
    """Of the objective; NaN before the first epoch that has one."""
    weights: dict[str, Tensor] | None = None
    """A network's state on the CPU; None if none are held."""

    def update_if_better(self, result: EpochResult, model: nn.Module) -> None:
        """Copy the model's weights if this epoch is better than all before it."""
        if self.objective.better(self.objective.of(result), self.value):
            self.update(result, model)

    def update(self, result: EpochResult, model: nn.Module) -> None:
        """Copy the model's weights, even if they are not better."""
        self.epoch, self.value = result.epoch, self.objective.of(result)
        self.weights = {name: each.cpu().clone() for name, each in network_state(model).items()}


@dataclass(frozen=True)
class TrialIdentity:
    """The trial that the weights belong to."""

    spec: StudySpec
    study_uid: str
    lease: Lease
    number: int
    configuration: Configuration
    dataset: Dataset
    statistics_hash: str | None
    parameters: int | None


def save_if_best(
    store: ResultsStore, trial: TrialIdentity, best: EpochResult, value: float, weights: BestWeights
) -> None:
    """Save the weights if the trial, with this value, is one of those to keep. Raises ``OSError``.

    Call it before the
    trial's end is recorded: if the worker is killed in between, the next one saves them again.
    """
    if weights.weights is None or weights.epoch != best.epoch:  # those of the best epoch were not held
        return
    lease, spec = trial.lease, trial.spec
    score = spec.goal.score(value)
    if not store.read(lambda reading: is_to_keep(reading, lease, trial.number, score, spec.kept_trials)):
        return
    owner = {"study": spec.study, "study_uid": trial.study_uid, "database": place(parse_url(store.url))}
    artifact_store.save(
        trial.study_uid, trial.number, lease.token, weights.weights, _document(trial, best, value), owner
    )


def delete_stale_weights(store: ResultsStore, study_id: int, study_uid: str, count: int) -> None:
    """Remove all weights but those of ``trials_to_keep``; also what killed workers left behind.

    A folder that cannot be read is left: weights that a trial could not save are in its note.
    """
    try:
        found = artifact_store.trial_folders(study_uid)
    except ArtifactError:
        return
    if found:
        keep = store.read(lambda connection: trials_to_keep(connection, study_id, count))
        artifact_store.remove(artifact_store.stale(found, keep.unfinished, keep.best))


def _document(trial: TrialIdentity, best: EpochResult, value: float) -> dict[str, Any]:
    """Return what is needed to rebuild the network and to feed it images, and how good it was."""
    configuration = trial.configuration.applicable()
    return {
        "study": trial.spec.study,
        "study_uid": trial.study_uid,
        "stage": trial.lease.stage,
        "slot": trial.lease.slot,
        "trial": trial.number,
        "objective": trial.spec.objective,
        "direction": trial.spec.goal.direction,
        "value": value,
        "best_epoch": _finite(stored(best)),
        "configuration": configuration,
        "parameters": trial.parameters,
        "dataset": trial.dataset.name,
        "dataset_fingerprint": trial.dataset.fingerprint,
        "classes": list(trial.dataset.classes),
        "image_shape": list(trial.dataset.train_images.shape[1:]),
        "preprocessing": configuration["preprocessing"],
        "statistics_sha256": trial.statistics_hash,
        "code_version": provenance.running_code(),
        "package_versions": provenance.running_packages(),
    }


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace non-finite numbers, which JSON does not have, by None."""
    return {name: _finite_value(value) for name, value in values.items()}


def _finite_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _finite(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
