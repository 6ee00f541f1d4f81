"""A short watched training of one configuration, outside any study: what `hpo check` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hpo.checks.babysitter import Babysitter
from hpo.checks.judge import LOOK_STEPS
from hpo.checks.observations import Snapshot
from hpo.checks.verdict import Verdict
from hpo.config.thresholds import Thresholds
from hpo.records import EpochResult, Finding
from hpo.trial.setup import TrialSetup


@dataclass(frozen=True)
class Rehearsal:
    """How it went."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    curve: tuple[EpochResult, ...]
    steps: int
    layers: Snapshot | None
    """The last look at the layers."""

    @property
    def fatal(self) -> Finding | None:
        """What ended it before its time."""
        return next((finding for finding in self.findings if finding.severity == "fatal"), None)


class _StoppedError(Exception):
    """The babysitter says that it is hopeless."""


class _Watch:
    interval = LOOK_STEPS

    def __init__(self, sitter: Babysitter) -> None:
        self._sitter = sitter

    def on_steps(self, step: int, losses: Tensor) -> None:
        if self._sitter.steps(losses) is not None:
            raise _StoppedError


def rehearse(ready: TrialSetup, limits: Thresholds, on_epoch: Callable[[EpochResult], None]) -> Rehearsal:
    """Check ``ready`` before its training and during it, until it ends or is hopeless.

    Raises ``OutOfMemoryError``, and whatever the network raises.
    """
    curve: list[EpochResult] = []
    with ready.babysitter(limits) as sitter:
        try:
            if any(finding.severity == "fatal" for finding in ready.check_before(sitter)):
                raise _StoppedError
            for epoch in ready.epochs(_Watch(sitter)):
                curve.append(epoch)
                on_epoch(epoch)
                if ready.tell(sitter, epoch) is not None:
                    raise _StoppedError
            sitter.after()
        except _StoppedError:
            pass
        layers = sitter.layers[-1] if sitter.layers else None
        return Rehearsal(tuple(sitter.findings), sitter.verdict(), tuple(curve), sitter.seen.steps, layers)
