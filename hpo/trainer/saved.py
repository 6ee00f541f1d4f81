"""What a trial of the user's own training saves, and how it is restored."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from hpo.config.objective import Objective
from hpo.config.thresholds import Thresholds
from hpo.errors import CheckpointError, UserError
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.trainer.babysitting import Watch
from hpo.trainer.messages import Begin, Found, Restored
from hpo.trainer.states import ArrayCodec, pack, unpack
from hpo.training.checkpoint_files import Checkpoint, Checkpoints
from hpo.training.generators import generator_states, restore_generators

BEST = "best.safetensors"
_LEAST_PERIOD = 10
"""Time between saves at the ends of epochs, in multiples of the time that one takes."""


@dataclass
class Progress:
    """How far a trial is."""

    curve: list[EpochResult] = field(default_factory=list)
    steps: int = 0
    """Over all epochs."""
    within: int = 0
    """Those of the current epoch."""
    reported: dict[str, float] | None = None
    """The metrics of the current epoch; None before its first report."""
    restored: int = 0
    """Epochs that earlier attempts have trained."""
    seconds: float = 0.0
    """Training time of earlier attempts, until their last checkpoint."""

    @property
    def epochs(self) -> int:
        """The number of epochs that are done."""
        return len(self.curve)

    def step(self) -> None:
        """Count a step."""
        self.steps += 1
        self.within += 1

    def end_epoch(self, result: EpochResult) -> None:
        """Add an epoch; without steps, it counts as one."""
        self.steps += self.within == 0
        self.within = 0
        self.reported = None
        self.curve.append(result)


@dataclass(frozen=True)
class _Document:
    """The part of a checkpoint that is not arrays."""

    curve: list[EpochResult]
    steps: int
    within: int
    seconds: float
    kept: dict[str, Any]
    values: Any
    generators: Any
    best_epoch: int
    best: dict[str, Any]
    finding_epochs: list[int]
    layer_epochs: list[int]
    reported: dict[str, float] | None = None


_DOCUMENT = TypeAdapter(_Document)


@dataclass
class _Best:
    """The states of the best epoch."""

    epoch: int = 0
    value: float = float("nan")
    plain: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)


class Saves:
    """The saved states of one trial: the objects that it keeps, its values, and how far it is."""

    def __init__(self, begin: Begin) -> None:
        self.key = Key(begin.seed, tuple(begin.path))
        self.progress = Progress()
        self.watch = Watch(tuple(begin.parameters))
        self.is_used = False
        """Whether the training saves anything: without, it starts again from its first epoch."""
        self.checkpoints = Checkpoints(Path(begin.checkpoints), begin.token, ArrayCodec())
        self._begin = begin
        self._objective = Objective(begin.objective, begin.direction)
        self._kept: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._best = _Best()
        self._restored: _Document | None = None
        self._arrays: dict[str, Any] = {}
        self._saved_at = self._started = time.monotonic()
        self._cost = 0.0
        """Seconds that the training waited for the last save."""

    def restore(self) -> Restored:
        """Read the newest usable checkpoint, if the trial is resumed; objects are restored when they come."""
        refused: list[tuple[int, str]] = []
        found = self.checkpoints.newest_first(lambda step, flaw: refused.append((step, flaw)))
        for checkpoint in found if self._begin.resumes else ():
            try:
                self._take(checkpoint)
                break
            except CheckpointError as error:
                refused.append((checkpoint.step, str(error)))
        progress = self.progress
        return Restored(
            steps=progress.steps if self._restored else None,
            within=progress.within > 0,
            curve=progress.curve,
            found=self.watch.found_before(),
            seconds=progress.seconds,
            refused=refused,
        )

    def _take(self, checkpoint: Checkpoint) -> None:
        try:
            document = _DOCUMENT.validate_python(checkpoint.document["trial"])
            state = checkpoint.document["babysitter"]
        except (KeyError, ValidationError) as error:
            raise CheckpointError("was written by another version of hpo") from error
        self.watch.take(state, checkpoint.tensors, document.finding_epochs, document.layer_epochs)
        self._restored, self._arrays = document, checkpoint.tensors
        self.is_used = True
        self.progress = Progress(
            curve=document.curve,
            steps=document.steps,
            within=document.within,
            reported=document.reported,
            restored=len(document.curve),
            seconds=document.seconds,
        )
        best = {name: each for name, each in checkpoint.tensors.items() if name.startswith("best.")}
        value = self._objective.of(document.curve[document.best_epoch - 1]) if document.best_epoch else np.nan
        self._best = _Best(document.best_epoch, value, document.best, best)

    @property
    def thresholds(self) -> Thresholds:
        """Those of the study's checks."""
        return Thresholds.model_validate(self._begin.checks)

    def news(self) -> Found:
        """Return what the checks have found that the worker does not know yet."""
        return self.watch.news(self.progress.epochs)

    def seconds(self) -> float:
        """Return the training time so far, over all attempts."""
        return self.progress.seconds + time.monotonic() - self._started

    def name_of(self, thing: Any) -> str:
        """Return a name for an object that was given without one."""
        name, number = type(thing).__name__.lower(), 1
        while (each := name if number == 1 else f"{name}{number}") in self._kept:
            number += 1
        return each

    def keep(self, name: str, thing: Any) -> None:
        """Save an object with the trial from now on; restore it if the trial is resumed."""
        if name in self._kept:
            raise UserError(f"keep: {name} is kept already")
        is_dict = isinstance(thing, dict)
        if not is_dict and not all(hasattr(thing, each) for each in ("state_dict", "load_state_dict")):
            raise UserError(f"keep: {type(thing).__name__} has no state_dict and load_state_dict")
        self._kept[name] = thing
        self.is_used = True
        self._put_back(name)

    def _put_back(self, name: str) -> None:
        if self._restored is None or name not in self._restored.kept:
            return
        state, thing = unpack(self._restored.kept[name], self._arrays), self._kept[name]
        if isinstance(thing, dict):
            thing.clear()
            thing.update(state)
        else:
            thing.load_state_dict(state)

    def restore_within(self) -> None:
        """Set everything back to the moment within the epoch at which the trial was saved."""
        assert self._restored is not None, "only a restored trial is within an epoch"
        for name in self._kept:
            self._put_back(name)
        restore_generators(unpack(self._restored.generators, self._arrays), self._begin.device)

    def put(self, values: Mapping[str, Any]) -> None:
        """Save these values with the trial from the next save on."""
        self.is_used = True
        self._values |= {name: _state(each) for name, each in values.items()}

    def values(self) -> dict[str, Any]:
        """Return the values that were saved last."""
        return {} if self._restored is None else dict(unpack(self._restored.values, self._arrays))

    def is_due(self) -> bool:
        """Whether the last save was long ago."""
        return time.monotonic() - self._saved_at >= self._begin.checkpoint_seconds

    def save_epoch(self) -> None:
        """Save at an epoch's end, unless saving would take a large share of the training's time.

        Epochs that take less than a few milliseconds are then trained again after a kill.
        """
        if self.is_used and time.monotonic() - self._saved_at >= self._cost * _LEAST_PERIOD:
            self.save()

    def save(self) -> None:
        """Save everything as it is now; the file is written in the background."""
        began = time.monotonic()
        arrays: dict[str, Any] = dict(self._best.arrays)
        state = self.watch.state(arrays)
        document = _Document(
            curve=self.progress.curve,
            steps=self.progress.steps,
            within=self.progress.within,
            seconds=self.seconds(),
            kept={name: pack(_state(each), f"kept.{name}", arrays) for name, each in self._kept.items()},
            values=pack(self._values, "values", arrays),
            generators=pack(self._generators(), "generators", arrays),
            best_epoch=self._best.epoch,
            best=self._best.plain,
            finding_epochs=self.watch.finding_epochs,
            layer_epochs=self.watch.layer_epochs,
            reported=self.progress.reported,
        )
        documents = {"trial": _DOCUMENT.dump_python(document), "babysitter": state}
        self.checkpoints.save(Checkpoint(self.progress.steps, documents, arrays))
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - began

    def close(self) -> None:
        """Wait for the last save, and remove the hooks of the babysitter."""
        self.checkpoints.close()
        self.watch.close()

    def _generators(self) -> dict[str, Any]:
        """At an epoch's end they are not needed: each epoch seeds them."""
        return generator_states(self._begin.device) if self.progress.within else {}

    def remember_best(self) -> None:
        """Copy the states of the last epoch if it is the best one."""
        result = self.progress.curve[-1]
        value = self._objective.of(result)
        if not self._begin.keeps_best or not self._objective.better(value, self._best.value):
            return
        self._best = _Best(result.epoch, value, *self._packed_models("best."))

    def _packed_models(self, prefix: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the kept states but those of optimizers, schedulers and scalers: plain data, and arrays.

        The names of the arrays begin with ``prefix``.
        """
        arrays: dict[str, Any] = {}
        plain = {
            name: pack(_state(each), f"{prefix}{name}", arrays)
            for name, each in self._kept.items()
            if not hasattr(each, "step")  # as the others have
        }
        return plain, arrays

    def write_best(self) -> str | None:
        """Write the states of the best epoch beside the checkpoints; return the file, if there are any."""
        if not self._best.plain:
            return None
        path = Path(self._begin.checkpoints) / BEST
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name.removeprefix("best."): each for name, each in self._best.arrays.items()}
        path.write_bytes(ArrayCodec().dump(arrays))  # the worker reads it at once
        document = {"epoch": self._best.epoch, "states": self._best.plain}
        path.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
        return str(path)

    def weights_hash(self) -> str | None:
        """Return the SHA-256 (hex) of the kept states, without those of optimizers and the like."""
        plain, arrays = self._packed_models()
        if not plain:
            return None
        packed = ArrayCodec().dump(dict(sorted(arrays.items())))
        return hashlib.sha256(json.dumps(plain).encode() + packed).hexdigest()

    def parameters(self) -> int | None:
        """Return the number of parameters of the kept models; None without one."""
        models = [each for each in self._kept.values() if callable(getattr(each, "parameters", None))]
        return sum(part.numel() for model in models for part in model.parameters()) if models else None


def _state(thing: Any) -> Any:
    return thing.state_dict() if hasattr(thing, "state_dict") else thing
