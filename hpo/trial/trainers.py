"""Which trainer a study has: the built-in one of images, or the user's own."""

from __future__ import annotations

from hpo.trial.context import TrialContext
from hpo.trial.images import ImageTrainer
from hpo.trial.own import OwnTrainer
from hpo.trial.session import Trainer


def trainer_of(context: TrialContext) -> Trainer:
    """Return the trainer of a study."""
    return OwnTrainer(context) if context.dataset is None else ImageTrainer(context, context.dataset)
