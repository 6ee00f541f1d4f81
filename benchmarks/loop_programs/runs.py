"""Trains programs without and with the babysitter, each in its own process."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from hpo import Babysitter
from hpo.checks.causes import CAUSES
from loop_programs.every import programs
from loop_programs.program import PROGRAMS, Program
from loop_programs.scores import clipped
from loop_programs.watch import Record, Watch

OPTIONAL = ("task", "configuration", "loss_function")
"""Arguments of Babysitter that each program omits with probability 1/2, as users do."""
WORSE = 0.05
"""A remedy makes it worse if the score falls by more."""


@dataclass
class Outcome:
    """What became of one program."""

    name: str
    kind: str
    half: str
    mistake: str
    expected: tuple[str, ...]
    score: float
    """Unwatched."""
    learned: bool
    """The score reaches the target of the sound program."""
    enough: bool
    """Somebody could tell by what the program shows."""
    disturbed: bool = False
    """The watched score is another."""
    raised: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stopped: bool = False
    cause: str = ""
    second: str = ""
    confidence: float = 0.0
    text: str = ""
    remedy: str = ""
    change: dict[str, Any] = field(default_factory=dict)
    treated: str = ""
    """What the remedy did: repaired, better, same, worse, or "" where it changes nothing of the program."""
    seconds: float = 0.0
    """Of processor time, unwatched."""
    watched_seconds: float = 0.0

    @property
    def blamed(self) -> bool:
        """It was warned of something, or given a cause."""
        return bool(self.warnings) or self.cause in CAUSES

    @property
    def healthy(self) -> bool:
        """The verdict is that all is well."""
        return self.cause == "healthy"

    @property
    def wrongly_healthy(self) -> bool:
        """Called healthy although it did not learn, or although it was too early to tell."""
        return self.healthy and not (self.learned and self.enough)


@dataclass(frozen=True)
class Training:
    score: float
    error: str
    seconds: float
    record: Record


def trained(program: Program, babysitter: Callable[..., Any] | None = None) -> Training:
    torch.manual_seed(0)
    mistake = program.fault.mistake if program.fault else ""
    watch = Watch(program.settings, mistake, babysitter, omitted(program.family))
    started, error, score = time.process_time(), "", -1.0
    try:
        score = clipped(program.train(watch))
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"[:200]
    return Training(score, error, time.process_time() - started, watch.record)


def omitted(family: str) -> tuple[str, ...]:
    """Return which optional arguments this family does not give; drawn from its name."""
    byte = hashlib.sha256(f"omits {family}".encode()).digest()[0]
    return tuple(name for bit, name in enumerate(OPTIONAL) if byte >> bit & 1)


def outcome(name: str) -> Outcome:
    """Train the program ``name`` unwatched, watched, and after its remedy."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    program = PROGRAMS[name]
    plain = trained(program)
    watched = trained(program, Babysitter)
    fault = program.fault
    result = Outcome(
        name,
        program.kind,
        program.half,
        mistake=fault.mistake if fault else "",
        expected=fault.causes if fault else (),
        score=plain.score,
        learned=plain.score >= program.target,
        enough=program.evidence,
        disturbed=plain.score != watched.score,
        raised=list(dict.fromkeys(watched.record.raised)),
        stopped=watched.record.stopped,
        seconds=plain.seconds,
        watched_seconds=watched.seconds,
    )
    if watched.error and watched.error != plain.error:
        result.raised.append(f"in the loop: {watched.error}")
    _judge(result, watched)
    if fault and result.change:
        result.treated = _treated(program, result.change, plain.score)
    return result


def _judge(result: Outcome, watched: Training) -> None:
    sitter = watched.record.babysitter
    if sitter is None:
        return
    try:
        if not watched.record.ended:
            sitter.after()
        verdict = sitter.verdict()
        findings = list(sitter.findings)
    except Exception as error:
        result.raised.append(f"verdict: {type(error).__name__}: {error}"[:200])
        return
    result.warnings = sorted({each.check for each in findings if each.severity in ("warn", "fatal")})
    result.cause, result.second = verdict.cause, verdict.second_cause
    result.confidence, result.text, result.remedy = verdict.confidence, verdict.text, verdict.remedy
    result.change = {name: value for name, value in dict(verdict.change).items() if _plain(value)}


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | None)


def _treated(program: Program, change: Mapping[str, Any], before: float) -> str:
    treated = program.treated(change)
    if treated is None:
        return ""
    after = trained(treated).score
    mended = treated.fault is None or not treated.fault.harmless
    if after >= program.target and mended:
        return "repaired"
    if after < before - WORSE:
        return "worse"
    return "better" if after > before + WORSE else "same"


def outcomes(chosen: Sequence[Program], jobs: int) -> Iterator[Outcome]:
    """Yield the outcome of each program, in their order."""
    torch.optim.SGD(torch.nn.Linear(1, 1).parameters()).zero_grad()  # loads what torch loads on first use
    context = multiprocessing.get_context("fork")
    with context.Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap(outcome, [each.name for each in chosen], chunksize=1)


__all__ = ["Outcome", "outcome", "outcomes", "programs"]
