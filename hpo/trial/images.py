"""The built-in trainer: trains a network on images, under the checks."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from functools import partial

import safetensors.torch
import torch

from hpo.artifacts.best_weights import BestWeights, TrialIdentity, save_if_best
from hpo.checks.evidence import coverage
from hpo.config.configuration import Configuration
from hpo.data.datasets import Dataset
from hpo.data.split import split_key
from hpo.errors import DeviceError, OutOfMemoryError
from hpo.heartbeat import on_beat
from hpo.records import EpochResult, Runtime
from hpo.rng import Key
from hpo.training import loop
from hpo.training.callbacks import Callback
from hpo.training.checkpoint_files import Checkpoints
from hpo.training.data import TrialData, weights_hash
from hpo.training.device import translating_oom
from hpo.training.inference import milliseconds_per_image
from hpo.training.model_factory import parameter_count
from hpo.training.precision import processor, resolve_precision
from hpo.training.process_state import preserved
from hpo.training.setup import TrialSetup, prepare
from hpo.training.state import EpochState
from hpo.training.users_metric import UsersMetric
from hpo.trial.callbacks import (
    BestWeightsCallback,
    CheckpointCallback,
    ChecksCallback,
    ReportCallback,
    check_before_training,
    less_memory,
    make_babysitter,
)
from hpo.trial.checkpoint import TorchCodec, TrialState, restore
from hpo.trial.context import TrialContext
from hpo.trial.session import TrialFailedError, TrialSession


class ImageTrainer:
    """Trains the configurations of a study on its images, in this process."""

    def __init__(self, context: TrialContext, dataset: Dataset) -> None:
        self._context = context
        self._dataset = dataset

    def runtime(self, configuration: Configuration) -> Runtime:
        """Return what a training of the configuration would run on."""
        device = self._context.device
        try:
            precision = resolve_precision(configuration.precision, device)
        except DeviceError:  # the training will fail with the same error
            precision = None
        return Runtime(processor(device), torch.get_num_threads(), precision)

    def less_memory(self, configuration: Configuration) -> str:
        """Return the remedy for too little memory: what can be lowered."""
        return less_memory(configuration)

    def train(self, session: TrialSession) -> None:
        """Train the session's trial to its end; see ``Trainer``."""
        configuration = _configuration(session)
        try:
            with preserved():
                translating_oom(partial(self._train, session), configuration, self._context.device)
        except OutOfMemoryError as exhausted:
            raise TrialFailedError("out_of_memory", str(exhausted), less_memory(configuration)) from exhausted

    def _train(self, session: TrialSession) -> None:
        begun = session.begun
        with closing(Checkpoints(begun.checkpoint_folder, begun.lease.token, TorchCodec())) as checkpoints:
            try:
                self._train_from(session, checkpoints)
            finally:
                session.unsaved = checkpoints.problem

    def _train_from(self, session: TrialSession, checkpoints: Checkpoints) -> None:
        context, begun, products = self._context, session.begun, session.products
        halves = split_key(Key(context.spec.seed))
        fold = begun.stage.fold(begun.lease.slot)
        setup = prepare(_configuration(session), self._dataset, begun.key, halves, context.device, fold)
        setup = replace(setup, own_metric=UsersMetric.of(context.spec))
        fingerprint = _record_statistics(session, setup.data)
        products.parameters = parameter_count(setup.model)
        held = BestWeights(context.spec.goal)
        products.milliseconds = _milliseconds(session, setup)
        session.refuse_beyond_limit()
        products.save_best = partial(self._save_best, session, held, fingerprint)
        with make_babysitter(setup, context.spec.checks) as babysitter:
            session.watch(babysitter)
            products.coverage = lambda: coverage(babysitter.seen, babysitter.findings)
            state = TrialState(setup, babysitter, session.recorder, held)
            start = _resume(session, state, checkpoints)
            if start is None:
                check_before_training(setup, babysitter)
            if start is None or start.steps == 0:  # findings within an epoch are recorded at its end
                session.start()
            best = BestWeightsCallback(held, setup, take_last=begun.stage.kind == "test")
            callbacks: list[Callback] = [
                session.recorder.history,
                *([best] if context.spec.keep_best else []),
                ChecksCallback(babysitter, len(setup.data.val)),
                CheckpointCallback(state, session, checkpoints),
                ReportCallback(session, setup.steps_per_epoch),
            ]
            with on_beat(session.control.heartbeat):  # from here on the checkpoint callback stops the trial
                for _ in loop.train(setup, callbacks, start):
                    session.control.check_stop()
                products.weights_hash = weights_hash(setup.judged)
                if begun.stage.kind == "test":
                    tested = setup.on_test(self._dataset)
                    products.test_value = tested.values[context.spec.objective]
                    session.recorder.on_test(tested.confusion)
                babysitter.after()
                session.record()

    def _save_best(
        self,
        session: TrialSession,
        held: BestWeights,
        statistics_hash: str,
        best: EpochResult,
        value: float,
    ) -> None:
        context, begun = self._context, session.begun
        identity = TrialIdentity(
            spec=context.spec,
            study_uid=context.study_uid,
            lease=begun.lease,
            number=begun.number,
            configuration=_configuration(session),
            dataset=self._dataset,
            statistics_hash=statistics_hash,
            parameters=session.products.parameters,
        )
        save_if_best(context.store, identity, best, value, held)


def _configuration(session: TrialSession) -> Configuration:
    configuration = session.begun.configuration
    assert isinstance(configuration, Configuration), "a study on images has configurations of images"
    return configuration


def _milliseconds(session: TrialSession, setup: TrialSetup) -> float | None:
    """Return what the network takes for an image, measured once per trial; None if the study does not ask."""
    begun, context = session.begun, session.begun.context
    if "milliseconds" not in context.spec.tradeoffs.wanted:
        return None
    known = context.store.milliseconds_of(begun.trial_id) if session.is_resumed else None
    if known is not None:
        return known
    measured = milliseconds_per_image(setup)
    context.store.record_milliseconds(begun.lease, begun.trial_id, measured)
    return measured


def _record_statistics(session: TrialSession, data: TrialData) -> str:
    """Record what preprocessing learned, which new images need; return its SHA-256 (hex)."""
    packed = safetensors.torch.save({name: part.cpu() for name, part in data.preprocessor.state().items()})
    fingerprint = hashlib.sha256(packed).hexdigest()
    session.recorder.writer.statistics(fingerprint, packed)
    return fingerprint


def _resume(session: TrialSession, state: TrialState, checkpoints: Checkpoints) -> EpochState | None:
    """Restore the newest usable checkpoint; return its position, or None if the trial starts from scratch."""
    if not session.is_resumed:
        return None
    restored, refused = restore(state, checkpoints)
    if restored is None:
        session.resume(None, 0, refused)
        return None
    session.resume(restored.recorder, restored.step, refused)
    return restored.position
