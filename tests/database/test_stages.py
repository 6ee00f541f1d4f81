"""From one stage to the next, on both databases: once, by whoever is first, whole or not at all."""

from __future__ import annotations

import math
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from hpo.config.methods import Asha, Median
from hpo.queries.stages import stages_status
from hpo.queries.trial import trial_detail
from hpo.queue.slots import study_progress
from hpo.records import Decision as RungDecision
from hpo.records import Outcome, Rung
from hpo.reporting.report.build import make_report
from hpo.search.samplers.registry import sample_slot
from hpo.stages.advance import advance
from hpo.stages.around import draws_around
from hpo.stages.store import read_stages
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.storage.tables import CandidateRow, DecisionRow, SlotRow, StageRow
from hpo.storage.views import VIEW_TABLES
from tests.database.conftest import Bench
from tests.helpers.staged_study import PLANNED, STAGES, finish, good, written


@pytest.fixture
def study_id(bench: Bench) -> int:
    return int(bench.register(trials=PLANNED, stages=STAGES))


def test_only_the_first_stage_is_written_at_first(bench: Bench, study_id: int) -> None:
    (stage,) = bench.rows(StageRow)
    assert (stage.stage, stage.position, stage.kind, stage.trials, stage.epochs) == (
        "coarse", 1, "search", 12, 1,
    )  # fmt: skip
    # Half of the 45,000 that are not held out.
    assert (stage.train_images, stage.fixed) == (22_500, {"epochs": 1, "train_images": 22_500})
    now = study_progress(bench.store, study_id)
    assert (now.waiting, now.to_come, now.total) == (12, PLANNED - 12, PLANNED)
    assert bench.register(trials=PLANNED, stages=STAGES) == study_id
    assert len(bench.rows(SlotRow)) == 12


def test_a_stage_begins_when_the_one_before_is_over_and_only_once(bench: Bench, study_id: int) -> None:
    lease = bench.claim(study_id)
    assert advance(bench.store, "first")
    assert len(bench.rows(StageRow)) == 1
    trial_id, _ = bench.begin(lease)
    bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.3))
    finish(bench, study_id)
    assert advance(bench.store, "first")
    before = written(bench)
    assert advance(bench.store, "first")
    assert written(bench) == before
    _, fine = sorted(bench.rows(StageRow), key=lambda row: row.position)
    assert (fine.stage, fine.trials, fine.fixed, fine.train_images) == ("fine", 4, {"epochs": 3}, 45_000)
    low, high = fine.space["lr"]["log"]
    assert 1e-4 < low < 0.01 < high < 1.0
    assert fine.space["activation"] == {"when": {}, "choice": ["relu", "tanh"]}
    (said,) = [row for row in bench.rows(DecisionRow) if row.subject == "lr"]
    assert said.message.startswith("lr: narrowed from log 1e-4 to 1 to log ")
    assert said.evidence["new_range"] == [low, high]


def test_stage_prunes_by_its_own_rule_and_confirmation_never(bench: Bench) -> None:
    own = [{**STAGES[0], "epochs": 3, "pruner": {"asha": {"reduction": 2}}}, *STAGES[1:]]
    study: dict[str, Any] = {"trials": PLANNED, "stages": own, "pruner": "median"}
    study_id = bench.register(**study)
    spec = bench.spec(**study)
    while advance(bench.store, "first"):
        finish(bench, study_id)
    begun = bench.store.read(lambda connection: read_stages(connection, study_id, spec))
    assert {name: stage.spec.pruner.rules for name, stage in begun.items()} == {
        "coarse": Asha(reduction=2),
        "fine": Median(),
        "confirm": None,
        "test": None,
    }


def test_the_next_space_follows_from_trials_that_were_stopped_early_too(bench: Bench, study_id: int) -> None:
    def stopped(lease: Lease, trial_id: int, rate: float) -> None:
        rung = Rung(1, 3, 0, 0.4 - abs(math.log10(rate / 0.01)) / 10)
        bench.store.judge(lease, trial_id, rung, lambda at: RungDecision("stopped", "rank 9 of 9"))

    rates = [0.0002, 0.009, 0.01, 0.011, *(0.9,) * 8]
    for slot, rate in enumerate(rates):
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease, lr=rate)
        if slot == 2:
            bench.store.finish_trial(lease, trial_id, Outcome("complete", value=0.5, cause="healthy"))
            continue
        stopped(lease, trial_id, rate)
        bench.store.finish_trial(lease, trial_id, Outcome("pruned", cause="healthy"))
    advance(bench.store, "first")
    (said,) = [row for row in bench.rows(DecisionRow) if row.subject == "lr"]
    assert (said.evidence["best_low"], said.evidence["best_high"]) == (0.009, 0.011)


def test_a_stage_draws_independently_within_its_space(bench: Bench, study_id: int) -> None:
    coarse = finish(bench, study_id)
    advance(bench.store, "first")
    fine = finish(bench, study_id)
    (stage,) = bench.rows(StageRow, stage="fine")
    low, high = stage.space["lr"]["log"]
    assert all(low <= values["lr"] <= high for values in fine)
    assert not {values["lr"] for values in coarse} & {values["lr"] for values in fine}


AROUND = [STAGES[0], {**STAGES[1], "space": "around", "carry": 2, "trials": 6}, STAGES[2]]


def test_stage_carries_the_best_and_draws_around_them(bench: Bench) -> None:
    study: dict[str, Any] = {"trials": PLANNED + 2, "stages": AROUND}
    study_id = bench.register(**study)
    coarse = finish(bench, study_id)
    advance(bench.store, "first")
    (stage,) = bench.rows(StageRow, stage="fine")
    slots = sorted(bench.rows(SlotRow, stage="fine"), key=lambda row: row.slot)
    ranked = sorted(enumerate(coarse), key=lambda each: good("coarse", *each).value or 0.0, reverse=True)
    assert [row.given["lr"] for row in slots[:2]] == [values["lr"] for _, values in ranked[:2]]
    low, high = stage.space["lr"]["log"]
    drawn = [row.given for row in slots[2:]]
    assert len({each["lr"] for each in drawn}) == 4
    assert all(low <= each["lr"] <= high for each in drawn)
    said = {row.action: row for row in bench.rows(DecisionRow, stage="fine")}
    assert said["around"].message.startswith("drawn around the best 3 of 12 trials of coarse: numbers move")
    numbers = said["carry"].evidence["trials"]
    assert said["carry"].message.startswith(
        f"starts with the best 2 so far, trained with this stage's epochs and data: trial {numbers[0]} of "
        f"coarse (0."
    )
    around = said["around"].evidence["trials"]
    assert set(numbers) < set(around)
    begun = bench.store.read(lambda connection: read_stages(connection, study_id, bench.spec(**study)))
    best = [coarse[number] for number in around]
    planned = [row.given for row in slots[:2]]
    assert drawn == draws_around(begun["fine"].spec, best, range(2, 6), planned)
    fine = finish(bench, study_id)
    assert [each["lr"] for each in fine] == [row.given["lr"] for row in slots]


def test_what_is_drawn_around_others_is_not_called_given(bench: Bench) -> None:
    study_id = bench.register(trials=PLANNED + 2, stages=AROUND)
    finish(bench, study_id)
    advance(bench.store, "first")
    finish(bench, study_id)
    engine = bench.store.engine
    assert [trial_detail(engine, "first", number).is_drawn_around for number in range(11, 18)] == [
        False, False, False, True, True, True, True,
    ]  # fmt: skip


def test_fewer_learned_than_a_stage_wants_to_begin_with(bench: Bench) -> None:
    stages = [STAGES[0], {**AROUND[1], "carry": 5}, STAGES[2]]
    study_id = bench.register(trials=PLANNED + 2, stages=stages)

    def few(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        sound = stage == "fine" or slot < 3
        return good(stage, slot, values) if sound else Outcome("pruned", cause="lr_too_high")

    finish(bench, study_id, few)
    advance(bench.store, "first")
    finish(bench, study_id, few)
    drawn = [trial_detail(bench.store.engine, "first", 12 + slot).is_drawn_around for slot in range(6)]
    assert drawn == [False, False, False, True, True, True]


def test_a_stage_may_be_nothing_but_the_best_configurations(bench: Bench) -> None:
    stages = [STAGES[0], {**STAGES[1], "carry": 4}, STAGES[2]]
    study_id = bench.register(trials=PLANNED, stages=stages)
    finish(bench, study_id)
    advance(bench.store, "first")
    assert all(row.given for row in bench.rows(SlotRow, stage="fine"))
    assert len(bench.rows(SlotRow, stage="fine")) == 4
    assert [row.action for row in bench.rows(DecisionRow, stage="fine")] == ["carry"]
    coarse, fine = sorted(bench.rows(StageRow), key=lambda row: row.position)
    assert fine.space == coarse.space


def test_study_in_stages_confirms_a_winner_and_tests_it_once(bench: Bench, study_id: int) -> None:
    def rule(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        if stage == "confirm":
            # The second of the search is the better one.
            return Outcome("complete", value=(0.60, 0.62)[slot % 2] + slot / 1e3)
        if stage == "test":
            return Outcome("complete", value=0.61, test_value=0.61)
        return good(stage, slot, values)

    while advance(bench.store, "first"):
        finish(bench, study_id, rule)
    assert study_progress(bench.store, study_id).to_come == 0
    first, second = sorted(bench.rows(CandidateRow), key=lambda row: row.candidate)
    assert (first.rank, second.rank) == (2, 1)
    assert second.mean == pytest.approx((0.621 + 0.623) / 2)
    assert second.difference == pytest.approx(0.021)
    assert first.search_value > second.search_value
    (test,) = bench.rows(SlotRow, stage="test")
    (its_run,) = bench.rows(SlotRow, stage="confirm", slot=1)
    assert test.given == its_run.given
    (stage,) = bench.rows(StageRow, stage="test")
    assert (stage.kind, stage.train_images, stage.epochs) == ("test", 50_000, 3)
    status = stages_status(bench.store.engine, "first")
    assert [look.test_value for look in status.looks] == [0.61]
    assert [(each.stage, each.done, each.trials) for each in status.stages] == [
        ("coarse", 12, 12), ("fine", 4, 4), ("confirm", 4, 4), ("test", 1, 1),
    ]  # fmt: skip
    assert [each.rank for each in status.confirmations] == [1, 2]
    winner = status.confirmations[0]
    assert winner.search_value is not None and winner.mean is not None
    assert winner.gap == pytest.approx(winner.search_value - winner.mean)
    said = [each.message for each in status.decisions if each.stage == "test"]
    assert "their epochs and data differ" in said[-1], "the best of the search is a coarse trial"
    report = make_report(bench.store.url, "first", "md").text
    assert (
        f"trial {winner.number} wins with a mean validation accuracy of 0.6220 over 2 trainings"
        in report.lower()
    )
    assert "test accuracy 0.6100" in report.lower() and "## Stages and decisions" in report


def test_the_winners_curse_is_reported_by_values_after_like_trainings(bench: Bench, study_id: int) -> None:
    """The best of the search is one of the fine stage, which trains as long as the confirmation."""

    def rule(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        return Outcome("complete", value=0.8 if stage == "fine" else 0.7 + slot / 1e3)

    while advance(bench.store, "first"):
        finish(bench, study_id, rule)
    said = [each.message for each in stages_status(bench.store.engine, "first").decisions]
    assert said[-1].endswith("worse, the winner's curse")


def test_the_test_images_do_not_rank(bench: Bench, study_id: int) -> None:
    def rule(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        return (
            Outcome("complete", value=0.99, test_value=0.99) if stage == "test" else good(stage, slot, values)
        )

    while advance(bench.store, "first"):
        finish(bench, study_id, rule)
    with bench.store.engine.connect() as connection:
        leaders = connection.execute(select(VIEW_TABLES["leaderboard"])).all()
    assert {row.stage for row in leaders} == {"coarse", "fine", "confirm"}
    assert max(row.value for row in leaders) < 0.75
    assert [row.images for row in leaders] == [100] * len(leaders)


def test_a_configuration_of_which_a_run_failed_does_not_win(bench: Bench, study_id: int) -> None:
    def rule(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        if stage == "confirm" and slot == 0:
            return Outcome("pruned", verdict="exploded", cause="exploding_loss")
        return Outcome("complete", value=0.9 if stage == "confirm" and slot == 2 else 0.5 + slot / 100)

    while advance(bench.store, "first"):
        finish(bench, study_id, rule)
    ranks = {row.candidate: (row.rank, row.completed) for row in bench.rows(CandidateRow)}
    assert ranks == {0: (2, 1), 1: (1, 2)}


def test_a_study_in_which_nothing_learns_ends_with_a_reason(bench: Bench, study_id: int) -> None:
    finish(bench, study_id, lambda *_: Outcome("pruned", cause="exploding_loss"))
    assert not advance(bench.store, "first")
    assert not advance(bench.store, "first")
    (stage,) = bench.rows(StageRow, stage="fine")
    (decision,) = bench.rows(DecisionRow)
    assert (stage.trials, decision.action) == (0, "end")
    now = study_progress(bench.store, study_id)
    assert (now.done, now.total) == (12, 12)
    assert [each.trials for each in stages_status(bench.store.engine, "first").stages] == [12, 0]


def test_the_slots_do_not_depend_on_the_order_in_which_trials_end(bench: Bench, study_id: int) -> None:
    def ties(stage: str, slot: int, values: dict[str, Any]) -> Outcome:
        return Outcome("complete", value=round(good(stage, slot, values).value or 0, 2))

    finish(bench, study_id, ties)
    advance(bench.store, "first")
    expected = written(bench)
    other = bench.register("second", trials=PLANNED, stages=STAGES)
    leases = [bench.claim(other) for _ in range(12)]
    spec = bench.spec(trials=PLANNED, stages=STAGES)
    coarse = bench.store.read(lambda connection: read_stages(connection, other, spec))["coarse"]
    for lease in reversed(leases):
        values = sample_slot(coarse.spec, lease.slot)
        trial_id, _ = bench.begin(lease, **values)
        bench.store.finish_trial(lease, trial_id, ties("coarse", lease.slot, values))
    advance(bench.store, "second")
    mine = [row for row in written(bench) if row not in expected]
    assert mine == []


def test_many_workers_that_find_a_stage_over_begin_one(bench: Bench, study_id: int) -> None:
    finish(bench, study_id)

    def work(_: int) -> bool:
        with ResultsStore(bench.store.url) as store:
            return advance(store, "first")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))
    assert [row.stage for row in bench.rows(StageRow)] == ["coarse", "fine"]
    assert sorted(row.slot for row in bench.rows(SlotRow, stage="fine")) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "last", ["INSERT INTO hpo_stage", "INSERT INTO hpo_slot", "INSERT INTO hpo_decision"]
)
def test_a_worker_killed_while_it_begins_a_stage_leaves_nothing(
    bench: Bench, study_id: int, last: str
) -> None:
    finish(bench, study_id)
    before = written(bench)
    assert _killed_after(bench.store, last)
    assert written(bench) == before
    assert advance(bench.store, "first")
    assert len(bench.rows(SlotRow, stage="fine")) == 4


def _killed_after(store: ResultsStore, last: str) -> bool:
    """Whether a child that begins the next stage was killed right after the statement ``last``."""
    url = store.url
    store.engine.dispose()
    child = os.fork()
    if child == 0:

        @event.listens_for(Engine, "after_cursor_execute")
        def _die(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if last in " ".join(statement.split()):
                os.kill(os.getpid(), signal.SIGKILL)

        with ResultsStore(url) as own:
            advance(own, "first")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
