"""Strategies of search are replayed on recorded curves as they would have run on them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search import at_the_limit
from search_replay.curves import Curves, Recorded, load, write
from search_replay.nearby import density, in_order
from search_replay.orders import at_random, on_a_grid, on_a_shuffled_grid
from search_replay.replay import Replay
from search_replay.staged import (
    Leg,
    Plan,
    coarse_to_fine,
    confirmed,
    inside,
    plain,
    plain_confirmed,
    recorded_spec,
    tried,
)

from hpo.config.methods import Asha
from hpo.config.space import Choice, Log
from hpo.search.samplers.registry import sample_slot
from hpo.stages.around import draws_around
from hpo.stages.refine import Refined

VALUES: dict[str, Any] = {
    "lr": 0.01,
    "weight_decay": 1e-4,
    "activation": "relu",
    "initializer": "he",
    "batch_norm": "before",
    "optimizer": "adam",
    "momentum": None,
}


def recorded(number: int, *curve: float, cause: str = "", **others: Any) -> Recorded:
    about = {name: others.pop(name) for name in ("again", "short", "short_cause") if name in others}
    return Recorded(number, VALUES | others, curve, cause, **about)


def rising(number: int, best: float, epochs: int = 4, **others: Any) -> Recorded:
    return recorded(number, *(best * (i + 1) / epochs for i in range(epochs)), **others)


def test_every_trial_in_full_costs_all_epochs_and_workers_share_them() -> None:
    order = [rising(i, best) for i, best in enumerate((0.4, 0.8, 0.6))]
    one, two = (Replay(order, 4, workers).run() for workers in (1, 2))
    assert [len(one), one[-1].time, len(two), two[-1].time] == [12, 12, 12, 8]
    assert [point.best for point in one[3::4]] == [0.4, 0.8, 0.8]


def test_a_hopeless_trial_ends_where_its_curve_does_but_only_with_checks() -> None:
    order = [recorded(0, 0.1, cause="lr_too_high"), recorded(1, cause="lr_too_high"), rising(2, 0.8)]
    checked, unchecked = Replay(order, 4, 1), Replay(order, 4, 1, checked=False)
    assert (len(checked.run()), len(unchecked.run())) == (6, 12)
    assert [each.state for each in checked.taken] == ["hopeless", "hopeless", "complete"]
    assert [each.done for each in unchecked.taken] == [4, 4, 4]


def test_asha_stops_a_trial_that_is_behind_at_a_rung() -> None:
    order = [rising(i, best) for i, best in enumerate((0.6, 0.4, 0.8, 0.7))]
    replay = Replay(order, 4, 1, Asha(reduction=2))
    replay.run()
    assert [(each.state, each.done) for each in replay.taken] == [
        ("complete", 4), ("stopped", 1), ("complete", 4), ("stopped", 2)
    ]  # fmt: skip


def test_a_hopeless_trial_counts_as_the_last_at_the_rungs() -> None:
    hopeless = [recorded(i, 0.1, cause="lr_too_high") for i in (1, 2)]
    replay = Replay([rising(0, 0.6), *hopeless, rising(3, 0.5)], 4, 1, Asha(reduction=2))
    replay.run()
    assert (replay.taken[3].state, replay.taken[3].done) == ("complete", 4), "second of four, not of two"


def test_a_paused_trial_resumes_once_it_is_among_the_best() -> None:
    order = [rising(i, best) for i, best in enumerate((0.6, 0.4, 0.3, 0.2))]
    replay = Replay(order, 4, 1, Asha(reduction=2, promote=True))
    points = replay.run()
    assert [(each.state, each.done) for each in replay.taken] == [
        ("complete", 4), ("paused", 2), ("paused", 1), ("paused", 1)
    ]  # fmt: skip
    assert len(points) == 8


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {**VALUES, "number": 0, "ended_by": "lr_too_high", "short_ended_by": "bad_init"},
        {**VALUES, "number": 1, "momentum": 0.9, "ended_by": "", "again_1": "0.5000", "again_2": "ended"}
        | {"short_ended_by": "", "short_epoch_1": "0.3000", "epoch_1": "0.2000", "epoch_2": "0.6000"},
    ]  # fmt: skip
    write(tmp_path / "table.csv.gz", ["what it is"], rows)
    found = load(tmp_path / "table.csv.gz")
    assert (found.epochs, found.short_epochs) == (2, 1)
    assert found.trials[0] == recorded(0, cause="lr_too_high", short_cause="bad_init")
    assert found.trials[1] == recorded(1, 0.2, 0.6, momentum=0.9, again=(0.5, None), short=(0.3,))
    assert found.shortened.trials[1].curve == (0.3,)


def test_what_lies_inside_a_refined_space() -> None:
    found = Refined(
        {"lr": Log(log=(1e-3, 1e-1)), "optimizer": Choice(choice=["adam"])}, {"initializer": "he"}, ()
    )
    assert inside(found, recorded(0))
    assert not inside(found, recorded(0, lr=0.5))
    assert not inside(found, recorded(0, optimizer="sgd", momentum=0.9))
    assert not inside(found, recorded(0, initializer="xavier"))


def test_stage_knows_what_hpo_run_would_know_of_its_trials() -> None:
    order = [rising(0, 0.6), rising(1, 0.4), recorded(2, 0.1, cause="lr_too_high"), rising(3, 0.1)]
    replay = Replay(order, 4, 1, Asha(reduction=2))
    replay.run()
    found = tried(recorded_spec(), replay.taken)
    assert [(each.score, each.failed, each.stopped_at) for each in found] == [
        (0.6, False, None), (0.1, False, 1), (None, True, None), (0.025, False, 1)
    ]  # fmt: skip
    assert "momentum" not in found[0].values


def test_confirmed_winner_is_judged_by_an_unused_seed() -> None:
    lucky = rising(0, 0.9, again=(0.9, 0.3, 0.3))
    steady = rising(1, 0.8, again=(0.5, 0.5, 0.5))
    curves = Curves(4, (lucky, steady))
    plan = Plan((Leg(1), Leg(1)), top=2, seeds=2)
    picked = confirmed([lucky, steady], curves, plan, searched=8)
    # Seed 0 judges steady, chosen by the others; seeds 1 and 2 judge lucky, which seed 0 made look good.
    assert picked.value == pytest.approx((0.5 + 0.3 + 0.3) / 3)
    assert picked.epochs == 8 + 2 * 2 * 4


def test_plain_search_spends_its_budget_and_believes_its_best_value() -> None:
    curves = Curves(4, tuple(rising(i, 0.5 + i / 100, again=(0.4, 0.2)) for i in range(10)))
    picked = plain(curves, 9, seed=0)
    assert picked.epochs == 12, "the trial in which the budget ends is trained to its end"
    assert picked.value == pytest.approx(0.3)
    taken = random.Random(0).sample(range(10), 10)[:3]
    alone = Curves(4, tuple(rising(i, 0.5 + i / 100) for i in range(10)))
    assert plain(alone, 9, seed=0).value == 0.5 + max(taken) / 100, "its own value, without other seeds"


def landscape(count: int) -> Curves:
    """The accuracy falls with the distance of lr to 0.03, on the log scale."""
    dice = random.Random(0)
    spec = recorded_spec()
    choices = {name: each.choice for name, each in spec.space.items() if isinstance(each, Choice)}
    trials = []
    for number in range(count):
        place = dice.uniform(-4, 0)
        value = 0.7 - 0.1 * abs(place + 1.5)
        others: dict[str, Any] = {name: dice.choice(list(choice)) for name, choice in choices.items()}
        others |= {"lr": 10**place, "weight_decay": 10 ** dice.uniform(-6, -1), "optimizer": "adam"}
        trials.append(rising(number, value, again=(value,) * 3, short=(value - 0.2,), **others))
    return Curves(4, tuple(trials), 1)


def test_coarse_to_fine_beats_plain_search_where_one_number_matters() -> None:
    curves, spec = landscape(200), recorded_spec()
    plan = Plan((Leg(24, short=True), Leg(12)))
    ours = [coarse_to_fine(spec, curves, plan, 4, seed) for seed in range(10)]
    assert {each.epochs for each in ours} == {24 * 1 + 12 * 4 + 3 * 2 * 4}
    theirs = [plain(curves, each.epochs, seed) for seed, each in enumerate(ours)]
    confirming = [plain_confirmed(curves, plan, each.epochs, seed) for seed, each in enumerate(ours)]
    best = max(each.best for each in curves.trials)
    regret, plain_regret, confirmed_regret = (
        sum(best - each.value for each in side) for side in (ours, theirs, confirming)
    )
    assert regret < plain_regret / 2
    assert plain_regret < confirmed_regret, "the confirmation costs trials, and nothing is noisy here"


def test_draws_around_the_best_are_answered_with_the_odds_of_hpo_run() -> None:
    spec = recorded_spec().model_copy(update={"trials": 4000})
    slow = {**VALUES, "lr": 1e-3}
    fast = {**VALUES, "lr": 0.1, "optimizer": "sgd", "momentum": 0.9, "batch_norm": "none"}
    drawn = [sample_slot(spec, slot) for slot in range(4000)]
    weights = [density(values, [slow, fast], spec.space) for values in drawn]
    assert sum(weights) / len(weights) == pytest.approx(1.0, rel=0.1)
    exact = draws_around(spec, [without_none(slow), without_none(fast)], range(4000), [])

    def share(values: Sequence[dict[str, Any]], odds: Sequence[float], **wanted: Any) -> float:
        having = sum(
            odd
            for each, odd in zip(values, odds, strict=True)
            if all(each[name] == value for name, value in wanted.items()) and each["lr"] > 1e-2
        )
        return having / sum(odds)

    for wanted in (
        {"optimizer": "sgd"},
        {"optimizer": "adam"},
        {"batch_norm": "none"},
        {"activation": "elu"},
    ):
        one, other = share(drawn, weights, **wanted), share(exact, [1.0] * 4000, **wanted)
        assert one == pytest.approx(other, abs=0.05), wanted
    best = in_order(drawn[:50], [drawn[7]], spec.space, seed=0)
    assert sorted(best) == list(range(50))
    assert sum(in_order(drawn[:50], [drawn[7]], spec.space, seed).index(7) < 10 for seed in range(20)) > 10


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def test_a_search_that_carries_the_best_trains_it_in_full() -> None:
    curves, spec = landscape(200), recorded_spec()
    plan = Plan((Leg(24, short=True), Leg(24, short=True, space="around"), Leg(2, carry=2)), top=2)
    ours = [coarse_to_fine(spec, curves, plan, 4, seed) for seed in range(10)]
    assert {each.epochs for each in ours} == {48 * 1 + 2 * 4 + 2 * 2 * 4}
    parted = curves.part(50, 199)
    renumbered = replace(
        parted, trials=tuple(replace(each, number=i) for i, each in enumerate(parted.trials))
    )
    for seed in range(5):
        one, other = (coarse_to_fine(spec, each, plan, 4, seed) for each in (parted, renumbered))
        assert one == other, "numbers are not places"
    theirs = [plain(curves, each.epochs, seed) for seed, each in enumerate(ours)]
    assert sum(each.value for each in ours) > sum(each.value for each in theirs)


def test_an_order_takes_every_configuration_at_most_once() -> None:
    curves = landscape(50)
    for order in (at_random(curves, 1), on_a_grid(curves, 1), on_a_shuffled_grid(curves, 1)):
        assert sorted(each.number for each in order) == list(range(50))
    assert at_random(curves, 1) != at_random(curves, 2)


def test_a_grid_is_answered_near_its_learning_rates() -> None:
    """The first answers lie about both ends of the range and its middle, to which it is a decade at most."""
    order = on_a_shuffled_grid(landscape(300), 1)[:30]
    places = [math.log10(each.values["lr"]) for each in order]
    apart = [min(abs(place - level) for level in (-4, -2, 0)) for place in places]
    assert sum(apart) / len(apart) < 0.35, "half a decade, were they random"


def test_an_oracle_trains_an_epoch_of_each_but_the_best() -> None:
    curves = Curves(4, (rising(0, 0.5), rising(1, 0.6), rising(2, 0.9), recorded(3, cause="bad_init")))
    (run,) = at_the_limit(curves, 0.25, workers=1, repeats=1)
    assert (len(run), run[-1].best) == (4 + 3, 0.9)
