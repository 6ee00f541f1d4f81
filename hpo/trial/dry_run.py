"""Dry run: a short training of one configuration under all checks, outside any study, for `hpo check`."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch

from hpo.artifacts.model import build_network
from hpo.artifacts.program import PixelNetwork, users_program
from hpo.checks.preflight import Snapshot
from hpo.checks.verdict import Verdict
from hpo.config.configuration import Configuration
from hpo.config.image_format import Shape
from hpo.config.study import StudySpec
from hpo.config.thresholds import Thresholds
from hpo.config.tradeoff import broken
from hpo.data.preprocess import Preprocessor
from hpo.errors import ConfigurationError
from hpo.records import EpochResult, Finding
from hpo.training.callbacks import History
from hpo.training.inference import milliseconds_per_image
from hpo.training.loop import train
from hpo.training.model_factory import parameter_count
from hpo.training.rehearsal import Rehearsal, check_models, models_of
from hpo.training.setup import TrialSetup
from hpo.training.users_code import USERS_ERRORS
from hpo.training.users_metric import check_metric
from hpo.training.users_network import users_error
from hpo.trial.callbacks import (
    ChecksCallback,
    check_before_training,
    make_babysitter,
)
from hpo.trial.session import TrialStoppedError, stop_if_fatal


@dataclass(frozen=True)
class DryRun:
    """The result of a dry run."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    curve: tuple[EpochResult, ...]
    steps: int
    layers: Snapshot | None
    """The last layer statistics."""

    @property
    def fatal(self) -> Finding | None:
        """The finding that ended it early, if any."""
        return next((finding for finding in self.findings if finding.severity == "fatal"), None)


def rehearse_models(spec: StudySpec, classes: int, in_shape: Shape, device: torch.device) -> list[Finding]:
    """Rehearse every network of the study; return notes on what it cannot do, such as resume bit for bit.

    Raises ``ConfigurationError`` with all that cannot be trained.
    """
    check_models(spec, classes, in_shape, device)
    check_metric(spec, classes)
    notes = []
    for name in models_of(spec):
        if ":" in name:
            configuration = spec.image_configuration({"model": name})
            rehearsal = Rehearsal(configuration, classes, in_shape, device)
            reason = rehearsal.unrepeatable() or rehearsal.unresumable()
            exported = _exported(configuration, classes, in_shape)
            _, no_program = users_program(exported, in_shape, name)
            notes += [_note("reproducible", reason), _note("export", no_program)]
    return [note for note in notes if note.message]


def limit_notes(spec: StudySpec, setup: TrialSetup) -> list[Finding]:
    """Return a note if the network, before its training, is beyond a limit of the study."""
    amounts = {"parameters": float(parameter_count(setup.model))}
    if "milliseconds" in spec.limit:
        amounts["milliseconds"] = milliseconds_per_image(setup)
    found = broken(spec.tradeoffs.limits, amounts)
    return [_note("limit", f"beyond the limit, so it would not be trained: {found}")] if found else []


def _note(about: str, message: str) -> Finding:
    return Finding(about, "note", math.nan, math.nan, message)


def _exported(configuration: Configuration, classes: int, in_shape: Shape) -> PixelNetwork:
    plain = Preprocessor(torch.tensor(1 / 128), torch.tensor(-1.0))
    return PixelNetwork(build_network(configuration, classes, in_shape), plain)


def dry_run(setup: TrialSetup, limits: Thresholds, on_epoch: Callable[[EpochResult], None]) -> DryRun:
    """Check ``setup`` before its training and during it, until it ends or a finding is fatal.

    Raises ``OutOfMemoryError``, and ``ConfigurationError`` for what a user's network raises.
    """
    try:
        return _watched(setup, limits, on_epoch)
    except USERS_ERRORS as error:
        message = users_error(setup.configuration.model, error)
        if not message:
            raise
        raise ConfigurationError(message) from error


def _watched(setup: TrialSetup, limits: Thresholds, on_epoch: Callable[[EpochResult], None]) -> DryRun:
    history = History()
    with make_babysitter(setup, limits) as babysitter:
        callbacks = [history, ChecksCallback(babysitter, len(setup.data.val))]
        with suppress(TrialStoppedError):
            check_before_training(setup, babysitter)
            stop_if_fatal(babysitter.findings)
            for epoch in train(setup, callbacks):
                on_epoch(epoch)
                stop_if_fatal(babysitter.findings)
            babysitter.after()
        layers = babysitter.layers[-1] if babysitter.layers else None
        findings, steps = tuple(babysitter.findings), babysitter.seen.steps
        return DryRun(findings, babysitter.verdict(), tuple(history.curve), steps, layers)
