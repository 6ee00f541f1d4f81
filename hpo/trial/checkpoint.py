"""What a checkpoint of a trial holds, and how its training goes on from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from hpo.artifacts.best_weights import BestWeights
from hpo.checks.babysitter import Babysitter
from hpo.checks.state import BabysitterState
from hpo.errors import CheckpointError
from hpo.records import EpochResult
from hpo.training.state import EpochState
from hpo.trial.checkpoint_files import Checkpoint, Checkpoints
from hpo.trial.recorder import TrialProgress
from hpo.trial.setup import TrialSetup
from hpo.trial.writer import Unsent


@dataclass(frozen=True)
class _Document:
    """The part of it that is not tensors."""

    epoch: int
    steps: int
    watched: int
    correct: int
    seconds: float
    findings_stored: int
    layers_stored: int
    unsent: list[Unsent]
    curve: list[EpochResult]
    best_epoch: int
    babysitter: BabysitterState


_DOCUMENT = TypeAdapter(_Document)


def capture(progress: TrialProgress, ready: TrialSetup, sitter: Babysitter) -> Checkpoint:
    """Everything that ``restore`` needs. Its tensors are the network's own: save before the next step."""
    position, memory = progress.position, sitter.state_dict()
    document = _Document(
        epoch=position.epoch,
        steps=position.steps,
        watched=position.watched,
        correct=position.correct,
        seconds=position.seconds,
        findings_stored=progress.findings_stored,
        layers_stored=progress.layers_stored,
        unsent=progress.unsent,
        curve=progress.curve,
        best_epoch=progress.best.epoch,
        babysitter=replace(memory, seen=replace(memory.seen, losses=np.empty(0))),
    )
    tensors = {
        "model": ready.model.state_dict(),
        "optimizer": ready.optimizer.state_dict(),
        "losses": position.losses,
        "augmentation": position.augmentation,
        "generators": position.generators,
        "losses_seen": torch.from_numpy(memory.seen.losses),
        "best": progress.best.weights,
    }
    return Checkpoint(_step(position, ready), {"trial": _DOCUMENT.dump_python(document)}, tensors)


def restore(
    saved: Checkpoints, ready: TrialSetup, sitter: Babysitter
) -> tuple[TrialProgress | None, list[tuple[int, str]]]:
    """Go on from the newest checkpoint that can be used, if any; step and flaw of each that cannot."""
    refused: list[tuple[int, str]] = []
    for checkpoint in saved.newest_first(lambda step, flaw: refused.append((step, flaw))):
        try:
            return _go_on(checkpoint, ready, sitter), refused
        except CheckpointError as error:
            refused.append((checkpoint.step, str(error)))
    return None, refused


def _go_on(checkpoint: Checkpoint, ready: TrialSetup, sitter: Babysitter) -> TrialProgress:
    """Put everything where it was. Raises ``CheckpointError`` if it does not fit."""
    try:
        document = _DOCUMENT.validate_python(checkpoint.document["trial"])
    except (KeyError, ValidationError) as error:
        raise CheckpointError("was written by another version of hpo") from error
    tensors = checkpoint.tensors
    _check_weights(tensors["model"], ready.model.state_dict())
    ready.model.load_state_dict(tensors["model"])
    ready.optimizer.load_state_dict(tensors["optimizer"])
    document.babysitter.seen.losses = tensors["losses_seen"].numpy()
    sitter.load_state_dict(document.babysitter, ready.images, ready.labels)
    position = EpochState(
        epoch=document.epoch,
        steps=document.steps,
        losses=tensors["losses"],
        watched=document.watched,
        correct=document.correct,
        seconds=document.seconds,
        augmentation=tensors["augmentation"],
        generators=tensors["generators"],
    )
    best = BestWeights()
    if document.best_epoch:
        accuracy = document.curve[document.best_epoch - 1].val_accuracy
        best = BestWeights(document.best_epoch, accuracy, tensors["best"])
    return TrialProgress(
        position,
        document.curve,
        document.findings_stored,
        document.layers_stored,
        document.unsent,
        checkpoint.step,
        best,
    )


def _step(position: EpochState, ready: TrialSetup) -> int:
    return (position.epoch - 1) * ready.steps_per_epoch + position.steps


def _check_weights(saved: Mapping[str, Any], own: Mapping[str, Tensor]) -> None:
    shapes = [{name: tuple(tensor.shape) for name, tensor in each.items()} for each in (saved, own)]
    if shapes[0] != shapes[1]:
        raise CheckpointError("holds the weights of another network: the model's code has changed")
