"""What a checkpoint of a trial contains, and how a trial is restored from one."""

from __future__ import annotations

import io
import pickle
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
from hpo.training.checkpoint_files import Checkpoint, Checkpoints
from hpo.training.network_state import load_network_state, network_state, state_shapes
from hpo.training.setup import TrialSetup
from hpo.training.state import EpochState
from hpo.trial.recorder import RecorderState, TrialRecorder
from hpo.trial.writer import PendingRecord


class TorchCodec:
    """Tensors, and containers of tensors and numbers, as PyTorch's own files."""

    def dump(self, tensors: dict[str, Any]) -> bytes:
        """Return the tensors as bytes."""
        buffer = io.BytesIO()
        torch.save(tensors, buffer)
        return buffer.getvalue()

    def load(self, content: bytes) -> dict[str, Any]:
        """Return the tensors that ``dump`` was given, on the CPU."""
        try:
            return dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        except pickle.UnpicklingError as error:
            raise CheckpointError("is damaged: it contains more than tensors and numbers") from error


@dataclass(frozen=True)
class TrialState:
    """The parts of a trial that change while it trains, and that a checkpoint holds."""

    setup: TrialSetup
    """Of it the weights and the optimizer's state."""
    babysitter: Babysitter
    recorder: TrialRecorder
    best: BestWeights


@dataclass(frozen=True)
class ResumePoint:
    """What ``restore`` has read."""

    position: EpochState
    recorder: RecorderState
    step: int
    """The number of steps that are done, over all epochs."""


@dataclass(frozen=True)
class _Document:
    """The part of a checkpoint that is not tensors."""

    epoch: int
    steps: int
    watched: int
    correct: int
    seconds: float
    findings_stored: int
    layers_stored: int
    unsent: list[PendingRecord]
    curve: list[EpochResult]
    best_epoch: int
    babysitter: BabysitterState


_DOCUMENT = TypeAdapter(_Document)


def capture(state: TrialState, position: EpochState) -> Checkpoint:
    """Return what ``restore`` needs. Its tensors are the network's own: save it before the next step."""
    recorder, babysitter = state.recorder.state(), state.babysitter.state_dict()
    document = _Document(
        epoch=position.epoch,
        steps=position.steps,
        watched=position.watched,
        correct=position.correct,
        seconds=position.seconds,
        findings_stored=recorder.findings_stored,
        layers_stored=recorder.layers_stored,
        unsent=recorder.pending,
        curve=recorder.curve,
        best_epoch=state.best.epoch,
        babysitter=replace(babysitter, seen=replace(babysitter.seen, losses=np.empty(0))),
    )
    tensors = {
        "model": network_state(state.setup.model),
        "optimizer": state.setup.optimizer.state_dict(),
        "average": state.setup.average.state(),
        "losses": position.losses,
        "augmentation": position.augmentation,
        "generators": position.generators,
        "losses_seen": torch.from_numpy(babysitter.seen.losses),
        "best": state.best.weights,
    }
    return Checkpoint(_step(position, state.setup), {"trial": _DOCUMENT.dump_python(document)}, tensors)


def restore(state: TrialState, checkpoints: Checkpoints) -> tuple[ResumePoint | None, list[tuple[int, str]]]:
    """Restore the newest usable checkpoint, if any.

    Weights, optimizer, babysitter and best weights are put in place; the rest is returned, with the step and
    the flaw of each checkpoint that cannot be used.
    """
    refused: list[tuple[int, str]] = []
    for checkpoint in checkpoints.newest_first(lambda step, flaw: refused.append((step, flaw))):
        try:
            return _restore(checkpoint, state), refused
        except CheckpointError as error:
            refused.append((checkpoint.step, str(error)))
    return None, refused


def _restore(checkpoint: Checkpoint, state: TrialState) -> ResumePoint:
    """Put everything in place. Raises ``CheckpointError`` if it does not fit."""
    try:
        document = _DOCUMENT.validate_python(checkpoint.document["trial"])
    except (KeyError, ValidationError) as error:
        raise CheckpointError("was written by another version of hpo") from error
    setup, tensors = state.setup, checkpoint.tensors
    _check_weights(tensors["model"], network_state(setup.model))
    load_network_state(setup.model, tensors["model"])
    setup.optimizer.load_state_dict(tensors["optimizer"])
    setup.average.load(tensors.get("average", {}))
    document.babysitter.seen.losses = tensors["losses_seen"].numpy()
    state.babysitter.load_state_dict(document.babysitter, *setup.probe_batch())
    if document.best_epoch:
        best = state.best
        best.epoch = document.best_epoch
        best.value = best.objective.of(document.curve[document.best_epoch - 1])
        best.weights = tensors["best"]
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
    recorder = RecorderState(
        document.curve, document.findings_stored, document.layers_stored, document.unsent
    )
    return ResumePoint(position, recorder, checkpoint.step)


def _step(position: EpochState, setup: TrialSetup) -> int:
    return (position.epoch - 1) * setup.steps_per_epoch + position.steps


def _check_weights(saved: Mapping[str, Tensor], current: Mapping[str, Tensor]) -> None:
    if state_shapes(saved) != state_shapes(current):
        raise CheckpointError("contains the weights of a different network: the model's code has changed")
