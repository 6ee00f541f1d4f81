"""Reproduction of a trial of the user's own training, by its function or command; nothing is written."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hpo.config.own_training import UserConfiguration
from hpo.records import EpochResult
from hpo.storage.studies import find_registered, results_engine
from hpo.text import counted
from hpo.trainer.messages import (
    AskPruner,
    Begin,
    Continue,
    Done,
    End,
    Ended,
    Epoch,
    Found,
    OptunaSearch,
    Restored,
    ToWorker,
    TrainingFailed,
)
from hpo.trainer.process import TrainingProcess, end_trainer_process
from hpo.training.users_trainer import check_own_training
from hpo.trial.own import LEAVE_SECONDS, first_begin, training_process
from hpo.trial.reproduce import Repeat, RepeatedEpoch, Repetition, StoredTraining, compared, is_same

_WAIT_SECONDS = 0.1
_USERS_CODE = (
    "hpo does not record the version of your own code: see whether it has changed, and whether all its "
    "random numbers come from Python's, NumPy's and PyTorch's global generators or from trial.seed"
)


class RepeatOwn(StoredTraining):
    """A stored trial of the user's own training, about to be trained again with its seed, budget and fold.

    Its checkpoints and artifacts go to a temporary folder. Raises also ``UserError`` for a trial without
    epochs and without a value, and ``ConfigurationError`` if the training is not on this machine.
    """

    def __init__(self, url: str, study: str, number: int, device: str | None = None) -> None:
        super().__init__(url, study, number, device)
        self.configuration = UserConfiguration.stored(self.trial.configuration)
        self.epochs = self._stored_epochs()
        self._is_whole = self.trial.state == "complete"
        if not self.epochs and not self._is_whole:
            raise self._nothing_to_compare()
        check_own_training(self._study.spec)
        self._now: list[EpochResult] = []
        self._same: list[bool] = []

    def run(self) -> Iterator[RepeatedEpoch | Repetition]:
        """Train, yielding each epoch as it ends, then the comparison of the whole training.

        A trial that was ended early is trained for the epochs that it has.
        """
        with tempfile.TemporaryDirectory(prefix="hpo-repeat-") as folder:
            end_trainer_process()  # one that runs writes to standard output, and has imported earlier code
            with _output_on_stderr():
                process = training_process(self._study.spec)
            try:
                yield from self._compared_epochs(process, Path(folder))
            finally:
                process.end()

    def _compared_epochs(
        self, process: TrainingProcess, folder: Path
    ) -> Iterator[RepeatedEpoch | Repetition]:
        with _output_on_stderr():
            process.send(self._begin(folder))
        end: Ended | None = None
        failure = ""
        while end is None:
            try:
                message = _receive(process)
            except EOFError:
                failure = f"the process of the training {process.death()}"
                break
            if isinstance(message, Ended):
                end = message
            elif isinstance(message, Restored):  # also of a program that goes back to an earlier epoch
                del self._now[len(message.curve) :], self._same[len(message.curve) :]
            elif isinstance(message, Epoch):
                self._now.append(message.result)
                epoch = self._epoch(message.result)
                self._same.append(not epoch.differences)
                yield epoch
                if not self._is_whole and len(self._now) >= self.epochs:
                    _leave(process)
                    break
            if isinstance(message, Restored | Found | Epoch | AskPruner):
                process.send(Continue())
        yield self._repetition(end, failure)

    def _begin(self, folder: Path) -> Begin:
        spec = self._study.spec
        search = None
        if spec.interface == "optuna":  # it asks for the values that it drew
            search = OptunaSearch(self.trial.study_uid, "random", {}, prunes=False, past=[])
        begin = first_begin(
            spec,
            self._stage,
            self.trial.slot,
            number=self.trial.number,
            configuration=self.configuration,
            device=str(self.device),
            checkpoints=folder / "checkpoints",
            artifacts=folder / "artifacts",
        )
        return replace(begin, optuna=search)

    def _epoch(self, now: EpochResult) -> RepeatedEpoch:
        goal = self.trial.goal
        if now.epoch > len(self.trial.curve):
            return RepeatedEpoch(
                now.epoch, now.val_accuracy, {"epochs": (self.epochs, now.epoch)}, goal.of(now)
            )
        return compared(self.trial.curve[now.epoch - 1], now, goal)

    def _repetition(self, end: Ended | None, failure: str) -> Repetition:
        trial, same = self.trial, self._same
        if isinstance(end, TrainingFailed):
            failure = end.message
        elif self._is_whole and end is not None and not isinstance(end, Done):
            failure = "the training ended early"
        elif not self._is_whole and isinstance(end, Done):
            failure = f"the training ended after {counted(len(same), 'epoch')}"
        done = end if isinstance(end, Done) and self._is_whole else None
        best = trial.goal.best_epoch(self._now)
        reported = trial.goal.of(best) if best else math.nan
        value = None if done is None else reported if done.value is None else done.value
        hashes = (
            None if done is None or trial.weights_hash is None else (trial.weights_hash, done.weights_hash)
        )
        return Repetition(
            same_curve=(all(same) and len(same) == self.epochs) if same or self.epochs else None,
            same_weights=None if hashes is None else hashes[0] == hashes[1],
            weights_then=trial.weights_hash,
            weights_now=done.weights_hash if done else None,
            same_value=None if value is None or trial.value is None else is_same(trial.value, value),
            value_then=trial.value,
            value_now=value,
            failure=failure,
        )

    def explanation(self) -> str:
        """Return what hpo cannot know of a training that is different now."""
        return _USERS_CODE


def find_repeat(url: str, study: str, number: int, device: str | None = None) -> Repeat | RepeatOwn:
    """Return the trial, about to be trained again as its study trains; raises what ``Repeat`` raises."""
    engine = results_engine(url)
    try:
        found = find_registered(engine, study)
    finally:
        engine.dispose()
    if found is not None and found.spec.is_own:
        return RepeatOwn(url, study, number, device)
    return Repeat(url, study, number, device)


def _receive(process: TrainingProcess) -> ToWorker | None:
    with _output_on_stderr():  # a command's output is passed on as it is received
        return process.receive(_WAIT_SECONDS)


def _leave(process: TrainingProcess) -> None:
    """Have the process leave the trial, so that the training cleans up."""
    process.send(End("the stored trial ended here"))
    deadline = time.monotonic() + LEAVE_SECONDS
    while time.monotonic() < deadline:
        try:
            if isinstance(_receive(process), Ended):
                return
        except EOFError:
            return


@contextmanager
def _output_on_stderr() -> Iterator[None]:
    """Send what is written to the descriptor of standard output to standard error: it is not the result."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
