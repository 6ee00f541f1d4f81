"""The saved queries on either database: their numbers are those that Python, numpy and scipy find."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hpo.errors import QueryError, UnknownStudyError, UserError
from hpo.queries.saved_queries import NAMES, run_query, saved_query
from hpo.records import Outcome
from tests.conftest import Fill
from tests.database.conftest import Bench, write_known_trials
from tests.helpers.population import EPOCHS, Known, known_trials, populate

Ask = Callable[..., list[dict[str, Any]]]
EMPTY = pytest.mark.parametrize("contents", [None], ids=["empty"])
"""For a test that writes its own study."""


@pytest.fixture(scope="module")
def contents() -> Fill | None:
    return write_known_trials


@pytest.fixture
def known() -> list[Known]:
    return known_trials()


@pytest.fixture
def answer(bench: Bench) -> Ask:
    def answer(name: str, **params: Any) -> list[dict[str, Any]]:
        columns, rows = run_query(bench.store.url, name, params)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    return answer


def given(name: str) -> dict[str, Any]:
    """Values for what a question must be told."""
    values: dict[str, Any] = {"number": 0, "other": "other"}
    return {
        each.name: values[each.name]
        for each in saved_query(name).parameters
        if each.default is None and each.name in values
    }


@EMPTY
def test_a_database_without_a_study_is_reported(answer: Ask) -> None:
    for name in NAMES:
        if any(each.name == "study" for each in saved_query(name).parameters):
            with pytest.raises(UnknownStudyError, match="no study yet"):
                answer(name)
        else:
            assert answer(name) == []


@EMPTY
def test_a_study_without_trials_has_no_answers(bench: Bench, answer: Ask) -> None:
    bench.register("first")
    bench.register("other")
    for name in NAMES:
        params = {"study": "first"} if "study" in {each.name for each in saved_query(name).parameters} else {}
        if "number" in given(name):
            with pytest.raises(UserError, match="study first has no trial 0: none has started yet"):
                answer(name, **params, **given(name))
        else:
            assert answer(name, **params, **given(name)) == [], name


def test_every_question_has_an_answer(bench: Bench, known: list[Known], answer: Ask) -> None:
    populate(bench, "other", known_trials(20)[:2])
    for name in NAMES:
        params = {"study": "known"} if "study" in {each.name for each in saved_query(name).parameters} else {}
        assert answer(name, **params, **given(name)), name


def test_the_best_and_the_best_of_each_kind(known: list[Known], answer: Ask) -> None:
    complete = sorted(
        (each for each in known if each.state == "complete"), key=lambda each: -(each.value or 0)
    )
    found = answer("best", count=3)
    assert [(row["rank"], row["number"], row["value"]) for row in found] == [
        (rank, each.number, each.value) for rank, each in enumerate(complete[:3], start=1)
    ]
    assert found[0]["lr"] == complete[0].lr
    for row in answer("best-per-activation"):
        alike = [each for each in known if each.activation == row["activation"]]
        values = {each.number: each.value or 0 for each in alike if each.state == "complete"}
        assert row["best_number"] == max(values, key=lambda number: values[number])
        assert (row["trials"], row["complete"], row["best"]) == (
            len(alike),
            len(values),
            max(values.values()),
        )
        assert row["mean"] == pytest.approx(statistics.mean(values.values()))
    choices = answer("best-per-choice", study="known")
    assert [row["param"] for row in choices] == ["activation"] * 3 + ["batch_norm"] * 3 + ["batch_size"] * 2
    assert {row["choice"] for row in choices} >= {"32", "64", "relu", "none"}
    assert sum(row["trials"] for row in choices) == 3 * len(known)
    for row in answer("activation-batch-norm"):
        for norm in ("none", "before", "after"):
            cell = [
                each.value or 0
                for each in complete
                if (each.activation, each.batch_norm) == (row["activation"], norm)
            ]
            assert (row[f"best_{norm}"], row[f"trials_{norm}"]) == (max(cell, default=None), len(cell))


def test_failures_by_cause_and_by_learning_rate(known: list[Known], answer: Ask) -> None:
    causes = Counter(each.cause for each in known)
    rows = answer("failure-causes")
    assert {row["cause"]: row["trials"] for row in rows} == {
        cause: count for cause, count in causes.items() if cause != "healthy"
    }
    exploded = next(row for row in rows if row["cause"] == "exploded")
    rates = [each.lr for each in known if each.state == "pruned"]
    assert (exploded["lr_lowest"], exploded["lr_highest"]) == (min(rates), max(rates))
    decades = answer("failures-by-lr")
    for row in decades:
        inside = [each for each in known if row["lr_from"] <= each.lr < (row["lr_below"] or 1e9)]
        assert row["trials"] == sum(each.cause == row["cause"] for each in inside)
        assert row["share_of_decade"] == pytest.approx(row["trials"] / len(inside))
    slices = answer("lr-slices")
    assert sum(row["trials"] for row in decades) == sum(row["trials"] for row in slices) == len(known)
    assert sum(row["complete"] for row in slices) == sum(each.state == "complete" for each in known)


def epsilon_squared(groups: list[list[float]]) -> float:
    """The share of variance between groups, corrected for their number, as textbooks have it."""
    values = np.concatenate([np.array(group) for group in groups])
    inside = sum(float(((np.array(group) - np.mean(group)) ** 2).sum()) for group in groups)
    total = float(((values - values.mean()) ** 2).sum())
    mean_square_inside = inside / (len(values) - len(groups))
    between = total - inside
    return max(0.0, (between - (len(groups) - 1) * mean_square_inside) / total)


def test_importance_is_epsilon_squared_and_spearmans_correlation(known: list[Known], answer: Ask) -> None:
    rows = {row["param"]: row for row in answer("importance")}
    worst = min(each.value for each in known if each.value is not None)
    # An exploded trial has no value and counts as the worst one; an error does not count.
    counted = [
        Known(**{**vars(each), "value": worst if each.value is None else each.value})
        for each in known
        if each.state != "failed"
    ]
    values = [each.value or 0.0 for each in counted]
    assert next(iter(rows)) == "lr"
    for name in ("activation", "batch_norm", "batch_size"):
        kinds = sorted({str(getattr(each, name)) for each in counted})
        groups = [
            [each.value or 0.0 for each in counted if str(getattr(each, name)) == kind] for kind in kinds
        ]
        assert rows[name]["variance_share"] == pytest.approx(epsilon_squared(groups)), name
        assert rows[name]["groups_compared"] == len(kinds)
    by_lr = [each.value or 0.0 for each in sorted(counted, key=lambda each: each.lr)]
    fifths = [list(part) for part in np.split(by_lr, [len(by_lr) * part // 5 for part in range(1, 5)])]
    assert rows["lr"]["variance_share"] == pytest.approx(epsilon_squared(fifths))
    rho = stats.spearmanr([each.lr for each in counted], values).statistic
    assert rows["lr"]["rank_correlation"] == pytest.approx(rho)
    assert (rows["activation"]["rank_correlation"], rows["lr"]["trials"]) == (None, len(counted))


@EMPTY
def test_a_trial_that_the_search_stopped_early_has_not_failed(bench: Bench, answer: Ask) -> None:
    """Tanh was at 0.5 when it was stopped: it counts so, and only what exploded as the worst of all."""
    study_id = bench.register("known", trials=9)
    stopped = Outcome("pruned", verdict="stopped early: rank 2 of 2", cause="healthy", best_epoch=2)
    for value in (0.58, 0.6, 0.62):
        whole = Outcome("complete", value=value, verdict="healthy", cause="healthy", best_epoch=1)
        bench.trial(study_id, whole, (value,))
        bench.trial(study_id, stopped, (0.3, value - 0.1), activation="tanh")
    bench.trial(
        study_id, Outcome("pruned", verdict="exploded", cause="exploding_loss"), (), activation="tanh"
    )
    assert [(row["cause"], row["trials"]) for row in answer("failure-causes")] == [("exploding_loss", 1)]
    ended = {row["cause"]: row["pruned"] for row in answer("pruned-savings")}
    assert ended == {"ended by the search": 3, "exploding_loss": 1}
    groups = [[0.58, 0.6, 0.62], [0.48, 0.5, 0.52, 0.48]]
    shares = {row["param"]: row["variance_share"] for row in answer("importance")}
    assert shares["activation"] == pytest.approx(epsilon_squared(groups))


@EMPTY
def test_importance_where_every_value_is_the_same_is_not_known(bench: Bench, answer: Ask) -> None:
    alike = [Known(**{**vars(each), "value": 0.1, "state": "complete"}) for each in known_trials()[:8]]
    populate(bench, trials=alike)
    assert {row["variance_share"] for row in answer("importance")} == {None}


def test_the_boundary_names_the_edge_where_the_best_lie(known: list[Known], answer: Ask) -> None:
    row = next(row for row in answer("boundary", best=2) if row["param"] == "lr")
    rates = sorted(each.lr for each in known)
    best = sorted((each for each in known if each.value), key=lambda each: -(each.value or 0))[:2]
    positions = [rates.index(each.lr) / (len(rates) - 1) for each in best]
    assert (row["lowest"], row["highest"], row["trials"]) == (rates[0], rates[-1], len(rates))
    assert (row["best_lowest"], row["best_highest"]) == (min(e.lr for e in best), max(e.lr for e in best))
    assert row["position"] == pytest.approx(statistics.mean(positions))
    assert row["edge"] is None


@EMPTY
@pytest.mark.parametrize(("rates", "edge"), [((0.9, 0.8, 0.1, 0.01), "high"), ((0.01, 0.9, 0.9, 0.9), "low")])
def test_the_edge(bench: Bench, answer: Ask, rates: tuple[float, ...], edge: str) -> None:
    trials = [each for each in known_trials() if each.state == "complete"][:4]
    changed = [
        Known(**{**vars(each), "number": number, "lr": lr, "value": 0.9 - 0.1 * number})
        for number, (each, lr) in enumerate(zip(trials, rates, strict=True))
    ]
    populate(bench, trials=changed)
    (row,) = [row for row in answer("boundary", best=1) if row["param"] == "lr"]
    assert row["edge"] == edge


def test_time_and_savings(known: list[Known], answer: Ask) -> None:
    pruned = [each for each in known if each.state == "pruned"]
    (row,) = answer("pruned-savings")
    saved = sum(EPOCHS - each.epochs_done for each in pruned)
    assert (row["cause"], row["pruned"], row["epochs_saved"]) == ("exploded", len(pruned), saved)
    assert (row["seconds_spent"], row["seconds_saved"]) == (2.0 * len(pruned), pytest.approx(2.0 * saved))
    workers = {row["worker"]: row for row in answer("worker-throughput")}
    assert sum(row["epochs"] for row in workers.values()) == sum(each.epochs_done for each in known)
    assert (workers["host9:1:0.00"]["trials"], workers["host1:1:0.00"]["attempts"]) == (1, 10)
    assert {row["images_per_second"] for row in workers.values()} == {50.0}
    slowest = answer("slowest", count=4)
    assert [row["seconds"] for row in slowest] == [2.0 * EPOCHS] * 4
    goes = answer("interrupted")
    assert [(row["number"], row["attempt"], row["outcome"]) for row in goes] == [
        (3, 1, "released"),
        (3, 2, known[3].state),
    ]


def test_learning_over_time(known: list[Known], answer: Ask) -> None:
    complete = [each for each in known if each.state == "complete"]
    best, expected = 0.0, []
    for each in complete:
        if each.value and each.value > best:
            expected.append((each.number, each.value))
            best = each.value
    assert [(row["number"], row["value"]) for row in answer("progress")] == expected
    late = [each for each in complete if each.best_epoch == EPOCHS]
    improving = answer("still-improving", count=100)
    assert {row["number"] for row in improving} == {each.number for each in late}
    assert improving[0]["last_epoch_gain"] == pytest.approx((improving[0]["value"]) / EPOCHS)
    gaps = answer("overfitting", count=100)
    assert [row["gap"] for row in gaps] == pytest.approx(
        sorted((0.1 * each.lr for each in known), reverse=True)
    )
    curve = answer("curve", number=0)
    assert [(row["epoch"], row["train_loss"]) for row in curve] == [
        (e, 2.0 / e) for e in range(1, EPOCHS + 1)
    ]
    layers = answer("layer-health", number=0)
    assert [(row["layer"], row["step"], row["dead"], row["worst_dead"]) for row in layers] == [
        (f"conv{i}", 10 * EPOCHS, 0.5 / EPOCHS, 0.5) for i in range(2)
    ]


def test_chance_and_two_studies(bench: Bench, known: list[Known], answer: Ask) -> None:
    again = [Known(**{**vars(each), "value": (each.value or 0) + 0.02}) for each in known[:1]]
    populate(bench, "other", again)
    (row,) = answer("seed-variance")
    pair = [known[0].value or 0.0, again[0].value or 0.0]
    assert (row["trials"], row["example"]) == (2, 0)
    assert row["standard_deviation"] == pytest.approx(statistics.stdev(pair))
    studies = {row["study"]: row for row in answer("compare-studies", study="known", other="other")}
    values = sorted((each.value for each in known if each.value), reverse=True)
    one = studies["known"]
    assert (one["trials"], one["complete"], one["best"]) == (20, len(values), values[0])
    assert one["mean_of_best_five"] == pytest.approx(statistics.mean(values[:5]))
    assert one["median"] == statistics.median_low(values)
    assert studies["other"]["best"] == pair[1]
    listed = answer("studies")
    assert [(row["study"], row["trials"], row["seed"]) for row in listed] == [
        ("known", 20, 0),
        ("other", 1, 0),
    ]
    checks = answer("findings-per-check", study="known")
    assert [row["severity"] for row in checks] == ["fatal", "warn", "pass"]
    assert checks[0]["trials"] == sum(each.state == "pruned" for each in known)
    (origin,) = answer("provenance", study="known", number=4)
    assert (origin["number"], origin["dataset_fingerprint"], origin["weights_hash"]) == (4, "f" * 64, "abc")


def test_what_is_missing_or_unknown_is_explained(bench: Bench, known: list[Known], answer: Ask) -> None:
    with pytest.raises(
        QueryError, match=r"curve needs --param number=\.\.\.: it has study \(the study\), number"
    ):
        answer("curve")
    with pytest.raises(QueryError, match=r"curve has no parameter trial: it has study"):
        answer("curve", trial=1)
    with pytest.raises(QueryError, match=r":number is 'first', which is not a valid integer"):
        answer("curve", number="first")
    with pytest.raises(UserError, match="study known has no trial 99: its trials are 0 to 19"):
        answer("curve", number=99)
    with pytest.raises(
        UnknownStudyError, match=r"no study knwon in this database: did you mean known\? It has known"
    ):
        answer("best", study="knwon")
    with pytest.raises(QueryError, match=r"unknown saved query bset: did you mean best\?"):
        answer("bset")
    with pytest.raises(QueryError, match=r'results is a view: try "SELECT \* FROM results"'):
        answer("results")
    bench.register("other")
    with pytest.raises(
        QueryError, match=r"which study\? Give --param study=NAME; this database has known, other"
    ):
        answer("best")
    with pytest.raises(QueryError, match=r"which study\?"):
        answer("SELECT count(*) FROM results WHERE study = :study")


def test_the_only_study_is_the_default_in_sql_too(known: list[Known], answer: Ask) -> None:
    assert answer("SELECT count(*) AS trials FROM results WHERE study = :study") == [{"trials": len(known)}]


@EMPTY
def test_a_study_whose_name_looks_like_a_number_is_found(bench: Bench, answer: Ask) -> None:
    populate(bench, "2024", known_trials()[:2])
    assert len(answer("curve", study=2024, number="1")) == known_trials()[1].epochs_done
