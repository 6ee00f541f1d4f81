"""Dry run: a short training of one configuration under all checks, outside any study, for `hpo check`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from hpo.checks.observations import Snapshot
from hpo.checks.verdict import Verdict
from hpo.config.thresholds import Thresholds
from hpo.records import EpochResult, Finding
from hpo.training.callbacks import History
from hpo.training.loop import train
from hpo.training.setup import TrialSetup
from hpo.trial.callbacks import (
    BabysitterCallback,
    TrialStoppedError,
    check_before_training,
    make_babysitter,
    stop_if_fatal,
)


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


def dry_run(setup: TrialSetup, limits: Thresholds, on_epoch: Callable[[EpochResult], None]) -> DryRun:
    """Check ``setup`` before its training and during it, until it ends or a finding is fatal.

    Raises ``OutOfMemoryError``, and whatever the network raises.
    """
    history = History()
    with make_babysitter(setup, limits) as babysitter:
        callbacks = [history, BabysitterCallback(babysitter, len(setup.data.val))]
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
