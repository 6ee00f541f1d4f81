"""Replays the checks on what was recorded, as they would have acted, and counts what they got right."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from diagnosis_programs import fault, sound
from diagnosis_programs.fault import Fault
from diagnosis_programs.faults import FAULTS
from diagnosis_programs.halves import Half, halves
from diagnosis_programs.healthy import HEALTHY
from diagnosis_programs.runs import curve_of, seen_of
from diagnosis_programs.script import Curve
from diagnosis_programs.sound import trains_well
from hpo.checks.judge import replay
from hpo.checks.observations import Observations
from hpo.checks.verdict import Verdict, verdict
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

HURTS = 0.03
"""A fault must cost this much accuracy, in the median of its seeds; a remedy must win back all but this."""


@dataclass(frozen=True)
class Judgment:
    """The babysitter's verdict on a recorded run, and what it would have stopped."""

    curve: Curve
    verdict: Verdict
    findings: tuple[Finding, ...]
    seen: Observations

    @property
    def alarms(self) -> list[Finding]:
        """Findings that warn or worse."""
        return [finding for finding in self.findings if finding.severity in ("warn", "fatal")]

    @property
    def stopped_at(self) -> float | None:
        """The share of the training after which it would have been stopped; None if never."""
        return next((self._share(each) for each in self.findings if each.severity == "fatal"), None)

    @property
    def noticed_at(self) -> float | None:
        """The share of the training after which the first alarm was raised; None if none was."""
        return min((self._share(each) for each in self.alarms), default=None)

    def _share(self, finding: Finding) -> float:
        total = self.seen.setup.total_steps
        assert total is not None
        return min(1.0, finding.step / total)


def judged(path: Path) -> Judgment:
    """Replay the checks on the recording at ``path``."""
    seen = seen_of(path)
    findings = replay(seen, Thresholds())
    return Judgment(curve_of(path), verdict(findings), tuple(findings), seen)


@dataclass(frozen=True)
class FaultJudged:
    """A fault's judgments, one per seed, and the accuracy of its sound twins."""

    fault: Fault
    half: Half
    seeds: tuple[int, ...]
    judgments: tuple[Judgment, ...]
    twins: tuple[float, ...]

    @property
    def damage(self) -> float:
        """Accuracy that the fault costs, in the median of the seeds."""
        pairs = zip(self.twins, self.judgments, strict=True)
        return statistics.median(twin - each.curve.final_accuracy for twin, each in pairs)

    @property
    def counts(self) -> bool:
        """Whether it hurts."""
        return self.damage >= HURTS

    def detected(self) -> int:
        """Seeds with an alarm."""
        return sum(bool(each.alarms) for each in self.judgments)

    def named(self, places: int) -> int:
        """Seeds whose cause is right, among the first ``places`` (1 or 2) that the verdict names."""
        return sum(
            any(
                cause in self.fault.causes
                for cause in (each.verdict.cause, each.verdict.second_cause)[:places]
            )
            for each in self.judgments
        )


def judge_faults(folder: Path, half: Half | None) -> list[FaultJudged]:
    """Every fault, with those of its seeds that are recorded."""
    chosen = halves(FAULTS)
    found = []
    for name, each in FAULTS.items():
        if half not in (None, chosen[name]):
            continue
        runs = {seed: folder / "faults" / f"{name}-{seed}.json" for seed in fault.SEEDS}
        twins = {seed: folder / "bases" / f"{each.base}-{seed}.json" for seed in fault.SEEDS}
        seeds = tuple(seed for seed in fault.SEEDS if runs[seed].exists() and twins[seed].exists())
        if seeds:
            judgments = tuple(judged(runs[seed]) for seed in seeds)
            accuracies = tuple(curve_of(twins[seed]).final_accuracy for seed in seeds)
            found.append(FaultJudged(each, chosen[name], seeds, judgments, accuracies))
    return found


@dataclass(frozen=True)
class HealthyJudged:
    """A sound program's judgments, one per seed."""

    name: str
    half: Half
    judgments: tuple[Judgment, ...]
    counts: bool
    """Whether it did train well."""


def judge_healthy(folder: Path, half: Half | None) -> list[HealthyJudged]:
    """Every sound program, with those of its seeds that are recorded; those of all halves are compared."""
    paths = {name: _recorded(folder, name) for name in HEALTHY}
    accuracies = {
        name: [curve_of(path).final_accuracy for path in each] for name, each in paths.items() if each
    }
    chosen = halves(HEALTHY)
    return [
        HealthyJudged(
            name,
            chosen[name],
            tuple(judged(path) for path in paths[name]),
            trains_well(own, _comparable(name, accuracies)),
        )
        for name, own in accuracies.items()
        if half in (None, chosen[name])
    ]


def _comparable(name: str, accuracies: Mapping[str, Sequence[float]]) -> list[float]:
    """Mean accuracies of all sound programs with the network of this one."""
    network = HEALTHY[name].network
    return [statistics.mean(each) for other, each in accuracies.items() if HEALTHY[other].network == network]


def _recorded(folder: Path, name: str) -> list[Path]:
    paths = [folder / "healthy" / f"{name}-{seed}.json" for seed in sound.SEEDS]
    return [path for path in paths if path.exists()]


def share(numerator: int, denominator: int) -> str:
    """'92.0 % of 75'."""
    return f"{100 * numerator / denominator:.1f} % of {denominator}" if denominator else "none"


def runs_of(judged_programs: Sequence[FaultJudged | HealthyJudged]) -> list[Judgment]:
    """All runs of these programs."""
    return [each for program in judged_programs for each in program.judgments]
