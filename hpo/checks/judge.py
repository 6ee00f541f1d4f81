"""The judge runs checks on observations and reports a finding once, and again when it gets worse."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.checks.facts import Fact, facts
from hpo.checks.guard import Guard
from hpo.checks.observations import Observations
from hpo.checks.registry import AFTER, BEFORE, DURING, NEEDS, Check
from hpo.checks.state import BabysitterState
from hpo.config.thresholds import Thresholds
from hpo.records import SEVERITIES, Finding

CHECK_INTERVAL = 20
"""Steps between two rounds of checks at first; an explosion costs at most that many more steps."""


_ROUNDS = 12
"""After CHECK_INTERVAL times as many steps, a round waits for another such part of the steps so far."""


_EPOCHS = 30
"""Epochs after each of which there is a round."""


def steps_to_round(steps: int) -> int:
    """Return how many steps after ``steps`` the next round of checks is due: their number stays bounded."""
    return max(CHECK_INTERVAL, steps // _ROUNDS)


def is_round_due(epoch: int, steps: int, judged: int) -> bool:
    """Whether a round of checks follows an epoch; after many, only if enough of all steps are new."""
    return epoch <= _EPOCHS or steps - judged >= steps // _EPOCHS


class Judge:
    """Runs the checks of one training and remembers what it has reported."""

    def __init__(self, limits: Thresholds, guard: Guard | None = None) -> None:
        """A check that raises is switched off by ``guard``; without it, the error is raised."""
        self._limits = limits
        self._guard = guard or Guard()
        self.reported: dict[str, int] = {}
        """By check, the rank in SEVERITIES of its worst reported finding."""
        self.missing: dict[str, frozenset[Fact]] = {}
        """By check that was skipped, the facts that it lacks."""
        self._known: frozenset[Fact] = frozenset()
        self._judged = 0
        """Steps at the last round."""
        self._is_waiting = False

    def resume(self, state: BabysitterState) -> None:
        """Continue where another judge of the same training was."""
        self.reported = state.reported
        self.missing = {
            check: frozenset(Fact[name] for name in lacks) for check, lacks in state.missing.items()
        }

    def before(self, seen: Observations) -> list[Finding]:
        """Return the findings on the untrained network."""
        return self._run(BEFORE, seen)

    def during(self, seen: Observations) -> list[Finding]:
        """Return the new findings of a round of checks during training."""
        self._judged, self._is_waiting = seen.steps, False
        return self._run((*self._late(), *DURING), seen)

    def after_epoch(self, seen: Observations) -> list[Finding]:
        """Do the same after an epoch; later epochs of a loop of one's own, which may be short, wait."""
        is_due = is_round_due(len(seen.curve), seen.steps, self._judged)
        self._is_waiting = Fact.OWN_LOOP in self._known and not is_due
        return [] if self._is_waiting else self.during(seen)

    def after(self, seen: Observations) -> list[Finding]:
        """Return the new findings on the finished training."""
        waiting = self.during(seen) if self._is_waiting else []
        return waiting + self._run((*self._late(), *AFTER), seen)

    def _late(self) -> Iterable[Check]:
        """Return the checks before training that could not run then: the loop may have shown more since."""
        return [check for check in BEFORE if check.__name__ in self.missing]

    def _run(self, checks: Iterable[Check], seen: Observations) -> list[Finding]:
        unknown: frozenset[Fact] = frozenset()
        known = self._known = self._guard.run("facts about the loop", lambda: facts(seen), unknown)
        found: list[Finding] = []
        for check in checks:
            lacking = NEEDS.get(check, frozenset()) - known
            if lacking:
                self.missing[check.__name__] = lacking
                continue
            self.missing.pop(check.__name__, None)
            found += self._findings(check, seen)
        return [finding for finding in found if self._is_new(finding)]

    def _findings(self, check: Check, seen: Observations) -> list[Finding]:
        return self._guard.run(f"check {check.__name__}", lambda: check(seen, self._limits), [])

    def _is_new(self, finding: Finding) -> bool:
        rank = SEVERITIES.index(finding.severity)
        if self.reported.get(finding.check, -1) >= rank:
            return False
        self.reported[finding.check] = rank
        return True


def checked(seen: Observations) -> tuple[int, dict[str, frozenset[Fact]]]:
    """Return how many checks had what they need so far and, by name, the facts that the others lack."""
    known = facts(seen)
    due = dict.fromkeys((*BEFORE, *DURING, *(AFTER if seen.ended else ())))
    missing = {check.__name__: lacking for check in due if (lacking := NEEDS.get(check, frozenset()) - known)}
    return len(due) - len(missing), missing


def replay(seen: Observations, limits: Thresholds, *, acting: bool = True) -> list[Finding]:
    """Judge a recorded training again, round by round; ``acting`` stops at the first fatal finding."""
    judge = Judge(limits)
    findings = judge.before(seen.until(0)) if seen.preflight is not None else []
    ends = {epoch.step for epoch in seen.curve}
    rounds = sorted({*range(CHECK_INTERVAL, seen.steps + 1, CHECK_INTERVAL), *ends})
    for steps in rounds:
        if acting and any(finding.severity == "fatal" for finding in findings):
            return findings
        findings += judge.during(seen.until(steps))
    if acting and any(finding.severity == "fatal" for finding in findings):
        return findings
    return findings + judge.after(seen)
