"""A slot's configuration, drawn once with its trial's beginning, on both databases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from hpo.config.study import StudySpec
from hpo.queue.leases import claim, release
from hpo.records import Finding, Outcome
from hpo.search import suggest
from hpo.search.history import TrialHistory
from hpo.search.samplers.pure import signature
from hpo.search.samplers.registry import LEARNING, PURE
from hpo.search.suggest import RegisteredTrial, Suggestions
from hpo.storage.fence import Lease
from hpo.storage.store import OtherTrialsStartedError, ResultsStore
from tests.database.conftest import Bench

WORKER = "host:1:0.00"
SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1.0]},
    "weight_decay": {"log": [1e-6, 1e-1]},
    "activation": {"choice": ["relu", "tanh", "elu"]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "momentum": {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}},
}
FINITE: dict[str, Any] = {"width": {"int": [3, 6]}, "depth": {"int": [1, 3]}}
# A draw of the Gaussian process takes seconds.
LEARNS = [
    pytest.param({name: {"startup": 4}}, id=name, marks=pytest.mark.slow if name == "gp" else ())
    for name in LEARNING
]
ANY = [*PURE, *LEARNS]
ONE_LEARNS = [
    pytest.param({name: {"startup": 4}}, id=name, marks=() if name == "tpe" else pytest.mark.slow)
    for name in LEARNING
]
"""For what `Suggestions` does in the same way whichever sampler draws."""


class Searcher:
    """A worker that trains nothing: it begins trials and ends them as ``rate`` says."""

    def __init__(self, bench: Bench, study_id: int, spec: StudySpec) -> None:
        self.store: ResultsStore = bench.store
        self.study_id = study_id
        self.spec = spec
        self.suggestions = Suggestions(bench.store, study_id, spec.space)

    def claim(self) -> Lease:
        lease = claim(self.store, self.study_id, WORKER, 3600.0)
        assert lease is not None
        return lease

    def begin(self, lease: Lease) -> RegisteredTrial:
        return self.suggestions.begin(
            lease, self.spec, lease.given, images={"dataset": "synthetic"}, device="cpu"
        )

    def end(self, lease: Lease, begun: RegisteredTrial, value: float | None) -> None:
        """Complete with a value; without one a check has stopped it."""
        self.store.begin_attempt(lease, begun.trial_id, device="cpu", from_epoch=0)
        if value is None:
            fatal = Finding("exploding_loss", "fatal", math.nan, math.nan, "the loss became nan", step=3)
            self.store.record_findings(lease, begun.trial_id, [fatal])
        outcome = Outcome("pruned" if value is None else "complete", value, verdict="", cause="healthy")
        self.store.finish_trial(lease, begun.trial_id, outcome)

    def search(self, trials: int, rate: Callable[[dict[str, Any]], float | None]) -> list[dict[str, Any]]:
        """The values of so many trials, one after another."""
        found = []
        for _ in range(trials):
            lease = self.claim()
            begun = self.begin(lease)
            self.end(lease, begun, rate(begun.values))
            found.append(begun.values)
        return found


def searcher(
    bench: Bench, sampler: Any, name: str = "s", space: dict[str, Any] = SPACE, **more: Any
) -> Searcher:
    changes = {"space": space, "sampler": sampler, "trials": 100, **more}
    return Searcher(bench, bench.register(name, **changes), bench.spec(name, **changes))


def rate(values: dict[str, Any]) -> float | None:
    """Best at lr 0.01; above 0.3 nothing trains."""
    lr = values.get("lr", 0.01)
    return None if lr > 0.3 else 0.9 - 0.1 * abs(math.log10(lr) + 2)


@pytest.mark.parametrize("sampler", ANY, ids=str)
def test_a_trial_that_has_begun_is_read_back(bench: Bench, sampler: Any) -> None:
    space = FINITE if sampler == "grid" else SPACE
    first = searcher(bench, sampler, space=space)
    first.search(5, rate)
    lease = first.claim()
    begun = first.begin(lease)
    release(bench.store, lease)
    other = searcher(bench, sampler, space=space)
    again = other.claim()
    assert again.slot == lease.slot
    assert other.begin(again) == begun


@pytest.mark.parametrize("sampler", [*LEARNS, "random"], ids=str)
def test_suggest_after_a_kill_draws_the_same_configuration(
    bench: Bench, sampler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = searcher(bench, sampler, "whole").search(10, rate)
    worker = searcher(bench, sampler, "cut")
    cut = []
    for _ in range(10):
        lease = worker.claim()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(suggest, "fault_point", _killed)
            worker.begin(lease)
        release(bench.store, lease)
        cut += searcher(bench, sampler, "cut").search(1, rate)
    assert cut == whole
    assert len({repr(values) for values in whole}) == 10


def _killed(point: str) -> None:
    assert point == "trial.drawn"
    raise KeyboardInterrupt


@pytest.mark.parametrize("sampler", ONE_LEARNS, ids=str)
def test_conditional_values_are_there_where_they_apply(bench: Bench, sampler: Any) -> None:
    found = searcher(bench, sampler).search(12, rate)
    assert all(("momentum" in values) == (values["optimizer"] == "sgd") for values in found)
    assert {values["optimizer"] for values in found} == {"sgd", "adam"}


@pytest.mark.parametrize("sampler", ONE_LEARNS, ids=str)
def test_draw_is_repeated_if_another_trial_started_meanwhile(bench: Bench, sampler: Any) -> None:
    worker, other = searcher(bench, sampler), searcher(bench, sampler)
    worker.search(6, rate)
    mine, theirs = worker.claim(), other.claim()
    stale = worker.suggestions.suggest(worker.spec, "main", mine.slot)
    assert stale.begun == 6
    begun = other.begin(theirs)
    with pytest.raises(OtherTrialsStartedError):
        bench.store.begin_trial(
            mine, params={}, distributions={}, configuration={}, device="cpu", begun=stale.begun
        )
    assert bench.store.trial_of(mine) is None
    assert len(bench.optuna_trials("s")) == 7
    fresh = worker.begin(mine)
    assert worker.suggestions.suggest(worker.spec, "main", 50).begun == 8
    assert fresh.values != begun.values


def test_suggest_draws_again_after_each_new_trial_up_to_a_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, other = searcher(bench, {"tpe": {"startup": 1}}), searcher(bench, {"tpe": {"startup": 1}})
    worker.search(2, rate)
    mine, drawn = worker.claim(), []
    suggest_one = worker.suggestions.suggest

    def late(spec: StudySpec, stage: str, slot: int) -> Any:
        drawn.append(suggest_one(spec, stage, slot))
        other.begin(other.claim())
        return drawn[-1]

    monkeypatch.setattr(worker.suggestions, "suggest", late)
    begun = worker.begin(mine)
    assert [each.begun for each in drawn] == [2, 3, 4]
    assert begun.values == drawn[-1].draw.values


@pytest.mark.parametrize(
    "sampler", [*ONE_LEARNS, "random", pytest.param("sobol", marks=pytest.mark.slow)], ids=str
)
def test_suggest_repeats_no_configuration_before_all_were_tried(bench: Bench, sampler: Any) -> None:
    worker = searcher(bench, sampler, space=FINITE)
    found = worker.search(14, lambda values: 0.9 - 0.1 * values["depth"])
    assert len({repr(values) for values in found[:12]}) == 12
    assert len({repr(values) for values in found}) == 12


@pytest.mark.slow
def test_two_workers_at_once_share_no_configuration_of_a_finite_space(bench: Bench) -> None:
    workers = [searcher(bench, {"gp": {"startup": 2}}, space=FINITE) for _ in range(3)]
    workers[0].search(3, lambda values: 0.5)
    running = [worker.begin(worker.claim()).values for worker in workers for _ in range(3)]
    assert len({repr(values) for values in running}) == 9


def test_the_history_has_every_outcome_and_reads_what_ended_once(bench: Bench) -> None:
    worker = searcher(bench, "random")
    worker.search(1, lambda values: 0.7)
    worker.search(1, lambda values: None)
    stopped, failed, running = ((lease, worker.begin(lease)) for lease in (worker.claim() for _ in range(3)))
    history = TrialHistory(bench.store, worker.study_id, "main")
    bench.store.begin_attempt(stopped[0], stopped[1].trial_id, device="cpu", from_epoch=0)
    for epoch in (1, 2):
        bench.store.record_epoch(stopped[0], stopped[1].trial_id, bench.record(epoch, 0.2 * epoch))
    before = history.read()
    assert [trial.outcome for trial in before] == ["complete", "pruned", None, None, None]
    bench.store.finish_trial(*_ids(stopped), Outcome("pruned", verdict="", cause="healthy"))
    bench.store.finish_trial(*_ids(failed), Outcome("failed", verdict="", cause="error", error="E"))
    past = history.read()
    assert [(each.outcome, each.score, each.reached, each.infeasible) for each in past] == [
        ("complete", 0.7, None, False),
        ("pruned", None, None, True),
        ("pruned", None, 0.4, False),
        ("failed", None, None, True),
        (None, None, None, False),
    ]
    assert past[4].trial_id == running[1].trial_id
    assert [each.number for each in past] == [0, 1, 2, 3, 4]
    assert signature(worker.spec, worker.spec.searched(past[4].configuration)) == signature(
        worker.spec, running[1].values
    )
    assert past[0] is before[0] and past[1] is before[1]


def _ids(begun: tuple[Lease, RegisteredTrial]) -> tuple[Lease, int]:
    return begun[0], begun[1].trial_id


def test_the_generation_of_cmaes_is_kept_where_optuna_keeps_it(bench: Bench) -> None:
    worker = searcher(bench, {"cmaes": {"startup": 2, "population": 4}})
    worker.search(12, rate)
    past = TrialHistory(bench.store, worker.study_id, "main").read()
    assert [trial.generation for trial in past] == [None, None, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    kept = [trial.system_attrs.get("cma:generation") for trial in bench.optuna_trials("s")]
    assert kept == [trial.generation for trial in past]
    assert not any("optimizer" in name for trial in bench.optuna_trials("s") for name in trial.system_attrs)


@pytest.mark.parametrize("sampler", ONE_LEARNS, ids=str)
def test_the_failures_of_a_region_are_not_picked_again(bench: Bench, sampler: Any) -> None:
    """Half of the range of the exponent fails, and half of random draws; of later ones less than a third."""

    def half(values: dict[str, Any]) -> float | None:
        return None if values["lr"] > 0.01 else 0.5

    space = {"lr": SPACE["lr"], "weight_decay": SPACE["weight_decay"]}
    found = searcher(bench, {next(iter(sampler)): {"startup": 10}}, space=space).search(35, half)
    failed = [half(values) is None for values in found]
    assert 3 <= sum(failed[:10]) <= 7
    assert sum(failed[15:]) <= 6
