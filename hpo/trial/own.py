"""The trainer of a study whose training is the user's own function or command, in a separate process."""

from __future__ import annotations

import json
import math
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from hpo.artifacts.own_states import OwnStates, OwnTrial, save_states_if_best
from hpo.artifacts.store import files_folder
from hpo.checks.preflight import Snapshot
from hpo.config.hyperparameters import TrialConfiguration
from hpo.config.own_training import UserConfiguration, memory_text
from hpo.config.study import StudySpec
from hpo.errors import LeaseLostError, StorageError
from hpo.heartbeat import beat, on_beat
from hpo.queue.leases import release_as_lost
from hpo.records import MEASURES, EpochResult, Finding, Remedy, Runtime
from hpo.settings import settings
from hpo.stages.store import Stage
from hpo.storage.attempts import process_died
from hpo.text import counted
from hpo.trainer.command import CommandProcess
from hpo.trainer.messages import (
    AskPruner,
    Attribute,
    Begin,
    Continue,
    End,
    Ended,
    Epoch,
    Found,
    Left,
    Leftover,
    OptunaSearch,
    Pruned,
    Restored,
    Stop,
    Suggested,
    ToWorker,
    TrainingFailed,
    TrialNote,
)
from hpo.trainer.process import TERM_SECONDS, TrainingProcess, trainer_process
from hpo.training.precision import processor
from hpo.trial import output
from hpo.trial.context import TrialContext
from hpo.trial.optuna_interface import OptunaInterface
from hpo.trial.pruning import EndedEarlyError
from hpo.trial.recorder import RecorderState
from hpo.trial.session import TrialFailedError, TrialSession, TrialStoppedError
from hpo.trial.writer import PendingRecord

POLL_SECONDS = 0.1
WATCH_SECONDS = 0.5
"""Interval of looks at what the process uses."""
LEAVE_SECONDS = 10.0
"""Time to save and leave a trial before SIGTERM."""
_PROGRESS_SECONDS = 0.01
"""Processor time that counts as progress."""
_LESS_MEMORY = "use less memory"
"""The remedy for too little memory."""


class OwnTrainer:
    """Trains the trials of a study by the user's function, in a process that is reused, or by a command."""

    def __init__(self, context: TrialContext) -> None:
        self._context = context

    def runtime(self, configuration: UserConfiguration) -> Runtime:
        """Return what a training runs on."""
        return Runtime(processor(self._context.device), torch.get_num_threads())

    def less_memory(self, configuration: UserConfiguration) -> str:
        """Return the remedy for too little memory."""
        return _LESS_MEMORY

    def train(self, session: TrialSession) -> None:
        """Train the session's trial to its end; see ``Trainer``."""
        with on_beat(session.control.heartbeat):
            _Conversation(session, training_process(self._context.spec)).run()


def training_process(spec: StudySpec) -> TrainingProcess:
    """Return the process that trains the trials of a study of the user's own training."""
    threads = torch.get_num_threads()
    if spec.command is not None:
        return CommandProcess(spec.command, threads)
    assert spec.trainer is not None, "the user's own training is a function or a command"
    return trainer_process(spec.trainer, threads)


@dataclass
class _Reported:
    """What the checks in the trainer process have found."""

    findings: list[Finding] = field(default_factory=list)
    layers: list[Snapshot] = field(default_factory=list)

    def add(self, found: Found) -> None:
        self.findings += found.findings
        self.layers += found.layers


class _Conversation:
    """The worker's side of one trial: answers the trainer process, and watches it."""

    def __init__(self, session: TrialSession, process: TrainingProcess) -> None:
        self._session = session
        self._process = process
        self._optuna = OptunaInterface(session)
        self._reported = _Reported()
        self._limits = session.begun.context.spec.limits
        self._looked_at = time.monotonic()
        self._started = math.inf
        """When the training started; starting the process does not count."""
        self._seconds_before = 0.0
        self._processor_seconds = 0.0
        session.watch(self._reported)

    def run(self) -> None:
        """Train the trial to its end. Raises what the session raises, and ``TrialFailedError``."""
        self._process.send(_begin(self._session, self._optuna.begin(self._process)))
        try:
            while (end := self._next()) is None:
                self._session.check()
        except (TrialStoppedError, EndedEarlyError) as early:
            self._dismiss(End(str(early)))
            raise
        except (TrialFailedError, LeaseLostError):
            self._process.end()
            raise
        except BaseException:  # this worker stops, or its database is gone: the trial is saved first
            self._dismiss(Stop())
            with suppress(StorageError, LeaseLostError):
                self._optuna.store()
            raise
        self._end(end)

    def _next(self) -> Ended | None:
        """Answer a message, if one comes; return the trial's last one."""
        message = self._receive(POLL_SECONDS)
        self._look()
        if message is None:
            return None
        beat()
        if isinstance(message, Ended):
            self._optuna.store()
            return message
        self._answer(message)
        return None

    def _receive(self, seconds: float) -> ToWorker | None:
        try:
            return self._process.receive(seconds)
        except EOFError:
            raise self._died() from None

    def _answer(self, message: ToWorker) -> None:
        session = self._session
        if isinstance(message, Restored):
            self._restored(message)
        elif isinstance(message, Epoch):
            self._reported.add(message.found)
            self._optuna.store()
            session.recorder.history.on_epoch_end(message.result)
            session.epoch(message.result, message.steps)
        elif isinstance(message, Found):
            self._reported.add(message)
            session.record()
        elif isinstance(message, TrialNote):
            session.recorder.note(message.about, 0, message.message)
        elif isinstance(message, Suggested | Attribute):
            self._optuna.take(message)
        if isinstance(message, Restored | Epoch | Found):
            self._process.send(Continue())
        elif isinstance(message, AskPruner):
            self._process.send(Continue(self._optuna.prunes()))

    def _restored(self, message: Restored) -> None:
        session, found = self._session, message.found
        self._reported.add(found)
        self._started, self._seconds_before = time.monotonic(), message.seconds
        if session.is_resumed:
            state = None if message.steps is None else _recorder_state(message)
            session.resume(state, message.steps or 0, message.refused)
            self._optuna.restart()
        if not message.within:  # what is found within an epoch is recorded at its end
            session.start()

    def _end(self, end: Ended) -> None:
        """Take the last message. Raises ``TrialFailedError``."""
        self._keep_process(end.leftover)
        if isinstance(end, Left):
            raise self._lost("was asked by SIGTERM to leave the trial")
        session, products = self._session, self._session.products
        self._reported.add(end.found)
        if isinstance(end, Pruned):
            session.record()
            raise EndedEarlyError(self._optuna.pruned())
        if isinstance(end, TrainingFailed):
            remedy = _LESS_MEMORY if end.cause == "out_of_memory" else ""
            raise TrialFailedError(end.cause, end.message, remedy, end.trace)
        if end.value is None:
            _refuse_silence(session)
        session.unsaved = end.unsaved
        products.value, products.weights_hash, products.parameters = (
            end.value, end.weights_hash, end.parameters
        )  # fmt: skip
        if end.best is not None:
            products.save_best = partial(_save_best, session, Path(end.best))
        session.record()

    def _look(self) -> None:
        """Compare what the process uses with the limits. Raises what ends the trial."""
        now = time.monotonic()
        if now - self._looked_at < WATCH_SECONDS:
            return
        self._looked_at = now
        output.bound()
        self._optuna.store()
        usage = self._process.usage()
        if usage.processor_seconds >= self._processor_seconds + _PROGRESS_SECONDS:
            self._processor_seconds = usage.processor_seconds
            beat()
        memory, minutes = self._limits.memory, self._limits.minutes
        if memory is not None and usage.memory > memory:
            raise TrialFailedError(
                "memory_limit",
                f"the training used {usage.memory / 1e9:.2f} GB of memory, more than the limit of "
                f"{memory_text(memory)}",
                "raise limits: memory, or use less memory",
            )
        if minutes is not None and self._seconds_before + now - self._started > 60 * minutes:
            self._reported.findings.append(_time_limit(minutes, len(self._session.recorder.curve)))
            self._session.record()

    def _dismiss(self, message: End | Stop) -> None:
        """Have the process leave the trial, by force if it does not."""
        self._process.send(message)
        if not self._leaves_within(LEAVE_SECONDS):
            self._process.terminate()
            if not self._leaves_within(TERM_SECONDS):
                self._process.end()

    def _leaves_within(self, seconds: float) -> bool:
        """Whether the process has left the trial in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._session.control.heartbeat()
            try:
                message = self._process.receive(POLL_SECONDS)
            except EOFError:
                self._process.end()
                return True
            if isinstance(message, Ended):
                self._keep_process(message.leftover)
                return True
        return False

    def _keep_process(self, leftover: Leftover) -> None:
        if not self._process.is_clean(leftover):
            self._process.end()

    def _died(self) -> Exception:
        """Return what the death of the process means for the trial."""
        death = self._process.death()
        self._process.end()
        self._optuna.store()
        if death.by_kernel:
            return TrialFailedError(
                "out_of_memory", "the kernel killed the training for lack of memory", _LESS_MEMORY
            )
        if death.is_external:
            return self._lost(str(death))
        return TrialFailedError("error", f"the process of the training {death}")

    def _lost(self, how: str) -> LeaseLostError:
        """Release the slot: the trial is resumed, as after the death of a worker."""
        begun = self._session.begun
        said = process_died(how)
        sys.stderr.write(f"{said}\n")
        release_as_lost(begun.context.store, begun.lease, said)
        return LeaseLostError(f"slot {begun.lease.slot} was released: the process of the training {how}")


def _begin(session: TrialSession, optuna: OptunaSearch | None) -> Begin:
    begun = session.begun
    context, lease = begun.context, begun.lease
    first = first_begin(
        context.spec,
        begun.stage,
        lease.slot,
        number=begun.number,
        configuration=begun.configuration,
        device=str(context.device),
        checkpoints=begun.checkpoint_folder,
        artifacts=files_folder(context.study_uid, lease.stage, lease.slot),
    )
    return replace(
        first,
        resumes=session.is_resumed,
        recorded=context.store.recorded_epochs(begun.trial_id) if session.is_resumed else 0,
        token=lease.token,
        optuna=optuna,
    )


def first_begin(
    spec: StudySpec,
    stage: Stage,
    slot: int,
    *,
    number: int,
    configuration: TrialConfiguration,
    device: str,
    checkpoints: Path,
    artifacts: Path,
) -> Begin:
    """Return the message that begins a trial from scratch; the two folders are for what it leaves."""
    key, fold = stage.key(slot), stage.fold(slot)
    return Begin(
        number=number,
        study=spec.study,
        stage=stage.name,
        parameters=configuration.applicable(),
        seed=key.seed,
        path=key.path,
        budget=configuration.epochs,
        data_share=stage.data,
        fold=fold.index,
        folds=fold.count,
        device=device,
        objective=spec.goal.metric,
        direction=spec.goal.direction,
        keeps_best=spec.keep_best > 0,
        resumes=False,
        recorded=0,
        checkpoints=str(checkpoints),
        token=0,
        checkpoint_seconds=settings().checkpoint_seconds,
        artifacts=str(artifacts),
        minutes=spec.limits.minutes,
        checks=spec.checks.model_dump(mode="json"),
        optuna=None,
    )


def _refuse_silence(session: TrialSession) -> None:
    """Raise ``TrialFailedError`` if no epoch has a number that the trials are compared by."""
    goal, curve = session.begun.context.spec.goal, session.recorder.curve
    if any(math.isfinite(goal.of(epoch)) for epoch in curve):
        return
    names = [*MEASURES, *sorted({name for epoch in curve for name in epoch.metrics})]
    reported = [name for name in names if any(math.isfinite(epoch.metric(name)) for epoch in curve)]
    only = f", only {', '.join(reported)}" if reported else ""
    message = f"the training returned no value and reported no finite {goal.metric}{only}"
    raise TrialFailedError("error", message, f"call trial.report({goal.metric}=...), or return the value")


def _recorder_state(message: Restored) -> RecorderState:
    """Return the recorder's state. All findings are written again: some may not have reached the database."""
    found = message.found
    layers: list[PendingRecord] = [layer for each in found.layers for layer in each.layers]
    stored = found.layers[-1].step if found.layers else -1
    return RecorderState(message.curve, len(found.findings), stored, [*found.findings, *layers])


def _save_best(session: TrialSession, file: Path, best: EpochResult, value: float) -> None:
    begun, plain = session.begun, json.loads(file.with_suffix(".json").read_bytes())
    if plain["epoch"] == best.epoch:
        context, parameters = begun.context, begun.configuration.applicable()
        trial = OwnTrial(context.spec, context.study_uid, begun.lease, begun.number, parameters)
        states = OwnStates(file.read_bytes(), plain["states"])
        save_states_if_best(context.store, trial, best, value, states)


def _time_limit(minutes: float, epochs: int) -> Finding:
    message = f"the training reached its limit of {minutes:g} minutes after {counted(epochs, 'epoch')}"
    remedy = Remedy("raise limits: minutes, or train for fewer epochs")
    return Finding(
        "time_limit", "fatal", minutes, minutes, message, remedy, cause="time_limit", confidence=1.0
    )
