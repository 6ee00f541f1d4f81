"""Pruning a trial at a rung: from its curve to a decision, a finding and an outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from hpo.checks.causes import BEYOND_LIMIT, HEALTHY, NOT_CHECKED, OUTCOMES
from hpo.config.methods import Asha, Rules
from hpo.config.objective import ACCURACY, WORST_SCORE, Objective
from hpo.records import Decision, EpochResult, Finding, Outcome, Rung, Severity
from hpo.search.pruners import bracket_of, judge, rungs
from hpo.storage.fence import Lease
from hpo.storage.rungs import CHECK
from hpo.storage.store import ResultsStore
from hpo.testing.faults import fault_point
from hpo.text import counted


class EndedEarlyError(Exception):
    """The pruner stops or pauses the trial because others are ahead."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        super().__init__(decision.reason)


def rung_of(
    pruner: Rules | None,
    slot: int,
    epochs: int,
    curve: Sequence[EpochResult],
    objective: Objective = ACCURACY,
) -> Rung | None:
    """Return the rung that a trial of ``epochs`` epochs has reached with this curve; None if at none."""
    if pruner is None:
        return None
    bracket = bracket_of(pruner, epochs, slot)
    if len(curve) not in rungs(pruner, epochs, bracket):
        return None
    score = max(objective.score(objective.of(epoch)) for epoch in curve)
    return Rung(len(curve), epochs, bracket, score)


def decide(store: ResultsStore, pruner: Rules, lease: Lease, trial_id: int, rung: Rung) -> Decision:
    """Compare the trial with all trials that reached the rung, and record the decision."""
    fault_point("trial.judge")
    decision = store.judge(lease, trial_id, rung, partial(judge, pruner))
    fault_point("trial.judged")
    return decision


def rank_last_at_remaining_rungs(
    store: ResultsStore, pruner: Rules | None, lease: Lease, trial_id: int, epochs: int, done: int
) -> None:
    """Rank a trial that a check ended after ``done`` epochs last at its remaining rungs.

    ASHA promotes a share of all trials, as in the published algorithm, where hopeless ones reach the rung
    too. If they were left out, the checks would cost sound trials their places. The median rule compares only
    trials that reached the rung.
    """
    if not isinstance(pruner, Asha):
        return
    bracket = bracket_of(pruner, epochs, lease.slot)
    decision = Decision("stopped", f"a check ended it after {counted(done, 'epoch')}: it counts as the last")
    for epoch in rungs(pruner, epochs, bracket):
        if epoch >= done:
            store.judge(lease, trial_id, Rung(epoch, epochs, bracket, WORST_SCORE), lambda _: decision)


def finding(decision: Decision, rung: Rung, step: int, objective: Objective = ACCURACY) -> Finding:
    """Return the decision as one of the trial's findings. It is not a problem and never the verdict."""
    severity: Severity = "pass" if decision.action == "goes_on" else "note"
    value = objective.value(rung.score)
    return Finding(
        CHECK, severity, math.nan if value is None else value, math.nan, decision.reason, step=step
    )


def beyond_limit(outcome: Outcome, broken: str) -> Outcome:
    """Return the outcome of a trial beyond the study's limit; what the checks suspect is its second cause."""
    suspected = outcome.cause if outcome.cause not in OUTCOMES else None
    return replace(
        outcome,
        verdict=f"{OUTCOMES[BEYOND_LIMIT]}: {broken}",
        remedy=None,
        cause=BEYOND_LIMIT,
        second_cause=suspected,
        confidence=1.0,
        remedy_change=None,
    )


def ended_early(outcome: Outcome, decision: Decision) -> Outcome:
    """Return the outcome of a trial that the pruner ended; what the checks suspect is its second cause."""
    suspected = outcome.cause if outcome.cause not in OUTCOMES else None
    cause = NOT_CHECKED if outcome.cause == NOT_CHECKED else HEALTHY
    how = "paused" if decision.action == "paused" else "stopped early"
    return replace(outcome, verdict=f"{how}: {decision.reason}", cause=cause, second_cause=suspected)
