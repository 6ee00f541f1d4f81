"""A study of three stages, and what workers do with it, without a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpo.queue.leases import claim
from hpo.records import Outcome
from hpo.search.samplers.registry import sample_slot
from hpo.stages.store import find_stage
from hpo.storage.tables import DecisionRow, SlotRow, StageRow
from tests.database.conftest import Bench

STAGES = [
    {"name": "coarse", "trials": 12, "epochs": 1, "data": 0.5},
    {"name": "fine", "trials": 4, "epochs": 3},
    {"name": "confirm", "epochs": 3, "confirm": {"top": 2, "seeds": 2}},
]
PLANNED = 12 + 4 + 2 * 2 + 1
Rule = Callable[[str, int, dict[str, Any]], Outcome]


def good(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
    """Better near lr 0.01; no two alike."""
    return Outcome("complete", value=0.7 - abs(values["lr"] - 0.01) / 10 - slot / 1e4, cause="healthy")


def finish(bench: Bench, study_id: int, rule: Rule = good) -> list[dict[str, Any]]:
    """Do what workers do with all open slots, with the draws that they would make; the values of each."""
    spec = bench.spec(trials=PLANNED, stages=STAGES)
    trained = []
    while lease := claim(bench.store, study_id, "host:1:0.00", 60.0):
        stage = bench.store.read(lambda connection: find_stage(connection, study_id, spec, lease.stage))
        values = {**lease.given, **sample_slot(stage.spec.with_fixed(lease.given), lease.slot)}
        trial_id, _ = bench.store.begin_trial(
            lease, params={}, distributions={}, device="cpu",
            configuration=stage.spec.configuration(values).applicable(),
        )  # fmt: skip
        bench.store.record_epoch(lease, trial_id, bench.record(1))
        bench.store.finish_trial(lease, trial_id, rule(lease.stage, lease.slot, values))
        trained.append(values)
    return trained


def written(bench: Bench) -> list[tuple[Any, ...]]:
    """Everything about stages and slots that does not depend on who trained what when."""
    stages = [(row.stage, row.position, row.trials, row.space, row.fixed) for row in bench.rows(StageRow)]
    slots = sorted((row.stage, row.slot, repr(row.given)) for row in bench.rows(SlotRow))
    decisions = [(row.stage, row.position, row.message) for row in bench.rows(DecisionRow)]
    return [*stages, *slots, *decisions]
