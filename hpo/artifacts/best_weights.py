"""The weights of a trial's best epoch: held as it trains, kept on disk if it is one of its study's best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from hpo import provenance
from hpo.artifacts import store as kept
from hpo.artifacts.ranking import how_many_better, trials_to_keep
from hpo.config.configuration import Configuration
from hpo.config.study import TEST, StudySpec
from hpo.data.datasets import Dataset
from hpo.records import EpochResult
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.storage.url import parse_url, place


@dataclass
class BestWeights:
    """The weights of the best epoch so far; the first of equals, as the trial's ``best_epoch`` is."""

    epoch: int = 0
    """0 while there is none."""
    accuracy: float = -math.inf
    weights: dict[str, Tensor] | None = None
    """A state dict on the CPU. None where none are kept."""

    def update_if_better(self, result: EpochResult, model: nn.Module) -> None:
        """Take the model's weights after this epoch if it is better than all before it."""
        if result.val_accuracy > self.accuracy:
            self.update(result, model)

    def update(self, result: EpochResult, model: nn.Module) -> None:
        """Take them whatever came before."""
        self.epoch, self.accuracy = result.epoch, result.val_accuracy
        self.weights = {name: each.detach().cpu().clone() for name, each in model.state_dict().items()}


@dataclass(frozen=True)
class TrialIdentity:
    """Whose weights they are."""

    spec: StudySpec
    study_uid: str
    lease: Lease
    number: int
    configuration: Configuration
    dataset: Dataset
    statistics_hash: str | None
    parameters: int | None


def keep_if_best(
    store: ResultsStore, trial: TrialIdentity, best: EpochResult, value: float, weights: BestWeights
) -> None:
    """Keep them if the trial, were it over now with this value, would be among the best. Raises ``OSError``.

    What is measured on the test images does not rank, and is always kept. Comes before the trial's end is
    recorded: a worker that is killed in between keeps them again.
    """
    if weights.weights is None or weights.epoch != best.epoch:  # held from a later epoch on only
        return
    lease = trial.lease
    if lease.stage != TEST:
        study_id, number = lease.study_id, trial.number
        better = store.read(lambda connection: how_many_better(connection, study_id, value, number))
        if better >= trial.spec.keep_best:
            return
    whose = {"study": trial.spec.study, "study_uid": trial.study_uid, "database": place(parse_url(store.url))}
    kept.keep(
        trial.study_uid, trial.number, lease.token, weights.weights, _document(trial, best, value), whose
    )


def delete_stale_weights(store: ResultsStore, study_id: int, study_uid: str, count: int) -> None:
    """Remove what is not of one of the best ``count`` trials; also what workers left that were killed."""
    found = kept.entries(study_uid)
    if found:
        now = store.read(lambda connection: trials_to_keep(connection, study_id, count))
        kept.remove(kept.superfluous(found, now.unfinished, now.best))


def _document(trial: TrialIdentity, best: EpochResult, value: float) -> dict[str, Any]:
    """What is needed to build the network again and to give it images, and how good it was."""
    configuration = trial.configuration.applicable()
    return {
        "study": trial.spec.study,
        "study_uid": trial.study_uid,
        "stage": trial.lease.stage,
        "slot": trial.lease.slot,
        "trial": trial.number,
        "objective": trial.spec.objective,
        "value": value,
        "best_epoch": _finite(asdict(best)),
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


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no number for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
