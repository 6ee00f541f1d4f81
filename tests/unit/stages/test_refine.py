"""How a space follows from results: each rule on results of which the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hpo.config.space import Choice, Integer, Log, Uniform
from hpo.config.study import StudySpec
from hpo.search.samplers.registry import sample_slot
from hpo.stages.refine import LEAST_WIDTH, Refined, StageTrial, refine

Rule = Callable[[dict[str, Any]], float | None]


def study(space: dict[str, Any], **fixed: Any) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "trials": 40, "fixed": fixed, "space": space})


def results(spec: StudySpec, rule: Rule, trials: int = 40) -> list[StageTrial]:
    """Drawn configurations, with the accuracy that ``rule`` says; None for what came to nothing."""
    tried = []
    for slot in range(trials):
        values = sample_slot(spec, slot)
        value = rule(values)
        tried.append(StageTrial(slot, value, value is None, values))
    return tried


def at(name: str, best: Sequence[float], others: Sequence[float] = (0.5,) * 20) -> list[StageTrial]:
    """Trials with these values of one hyperparameter, the best first."""
    both = [*best, *others]
    return [StageTrial(i, 0.9 - i / 100, False, {name: value}) for i, value in enumerate(both)]


def messages(found: Refined) -> dict[str, str]:
    return {each.subject: each.message for each in found.decisions}


def test_a_log_range_is_narrowed_to_the_best_with_a_margin_in_the_exponent() -> None:
    spec = study({"lr": {"log": [1e-6, 1.0]}})
    # Exponents -3.4, -3 and -2.6: two gaps of 0.4, so that the margin is half of 0.8 at either end.
    found = refine(spec, at("lr", [10**-3, 10**-3.4, 10**-2.6]), keep=0.1)
    lr = found.space["lr"]
    assert isinstance(lr, Log)
    assert np.log10(lr.log) == pytest.approx([-3.8, -2.2], abs=0.01)
    (decision,) = found.decisions
    assert (decision.action, decision.evidence["best"], decision.evidence["trials"]) == ("narrow", 3, 23)
    assert decision.message == (
        "lr: narrowed from log 1e-6 to 1 to log 1.58e-4 to 6.31e-3: the best 3 of 23 trials lie between "
        "3.98e-4 and 2.51e-3"
    )


def test_the_margin_is_the_unbiased_estimate_of_where_a_good_region_ends() -> None:
    generator = np.random.default_rng(0)
    spec = study({"dropout": {"uniform": [0.0, 0.9]}})
    ends = []
    for _ in range(400):
        best = generator.uniform(0.3, 0.6, size=6).tolist()
        narrowed = refine(spec, at("dropout", best), keep=0.2).space["dropout"]
        assert isinstance(narrowed, Uniform)
        ends.append(narrowed.uniform)
    low, high = np.mean(ends, axis=0)
    assert (low, high) == (pytest.approx(0.3, abs=0.01), pytest.approx(0.6, abs=0.01))


def test_a_range_stays_within_its_old_ends_and_does_not_become_a_point() -> None:
    spec = study({"dropout": {"uniform": [0.0, 0.9]}})
    narrowed = refine(spec, at("dropout", [0.4, 0.4, 0.4]), keep=0.1).space["dropout"]
    assert isinstance(narrowed, Uniform)
    assert narrowed.uniform == pytest.approx((0.4 - LEAST_WIDTH * 0.45, 0.4 + LEAST_WIDTH * 0.45), abs=1e-3)
    wide = refine(spec, at("dropout", [0.4, 0.1, 0.8]), keep=0.1).space["dropout"]
    assert isinstance(wide, Uniform)
    assert wide.uniform == (0.0, 0.9)


def test_whole_numbers_stay_whole() -> None:
    spec = study({"width": {"int": [4, 64]}})
    narrowed = refine(spec, at("width", [20, 22, 24], [30] * 20), keep=0.1).space["width"]
    assert isinstance(narrowed, Integer)
    # The best span 4, the margin is 2 at either end; a fifth of the range, 12, is the least width.
    assert narrowed.int_ == (16, 28)


def test_refine_widens_a_range_at_its_best_end_and_cuts_the_other() -> None:
    spec = study({"lr": {"log": [1e-4, 0.1]}})
    found = refine(spec, at("lr", [0.09, 0.095, 0.04], [1e-3] * 20), keep=0.1)
    lr = found.space["lr"]
    assert isinstance(lr, Log)
    # A decade, a third of the three, further at the upper end.
    assert lr.log[1] == 1.0
    assert 1e-2 < lr.log[0] < 0.04
    (decision,) = found.decisions
    assert (decision.action, decision.evidence["widened"]) == ("move", ["upper"])
    assert decision.message.endswith("at the upper end: better values may lie beyond")


def test_refine_widens_no_range_for_one_trial_or_beyond_its_limits() -> None:
    spec = study({"lr": {"log": [1e-4, 0.1]}})
    one = refine(spec, at("lr", [0.095, 0.01, 0.02], [1e-3] * 20), keep=0.1).decisions[0]
    assert one.evidence["widened"] == []
    dropout = study({"dropout": {"uniform": [0.0, 0.5]}})
    low = refine(dropout, at("dropout", [0.01, 0.0, 0.02]), keep=0.1)
    assert low.decisions[0].evidence["widened"] == []
    assert low.space["dropout"].bounds[0] == 0.0  # type: ignore[union-attr]
    # A batch cannot be larger than the training set.
    batch = study({"batch_size": {"int": [8, 100]}}, train_images=100)
    best = refine(batch, at("batch_size", [100, 99, 98], [20] * 20), keep=0.1)
    assert best.space["batch_size"].bounds[1] == 100  # type: ignore[union-attr]


def test_refine_drops_choices_that_never_learned_or_are_never_good() -> None:
    spec = study({"activation": {"choice": ["relu", "elu", "sigmoid", "tanh"]}, "lr": {"log": [1e-4, 1.0]}})

    def rule(values: dict[str, Any]) -> float | None:
        if values["activation"] == "sigmoid":
            return None
        worse = 0.3 if values["activation"] == "tanh" else 0.0
        return 0.7 - worse - abs(math.log10(values["lr"]) + 2) / 20

    found = refine(spec, results(spec, rule, 60), keep=0.25)
    activation = found.space["activation"]
    assert isinstance(activation, Choice)
    assert activation.choice == ["relu", "elu"]
    message = messages(found)["activation"]
    assert "sigmoid dropped, 0 of " in message and " trials learned (" in message
    assert "tanh dropped, 0 of " in message and "ranked in the better half" in message


def test_choices_are_kept_while_their_failures_may_be_chance() -> None:
    spec = study({"activation": {"choice": ["relu", "sigmoid"]}})
    two = [StageTrial(i, None, True, {"activation": "sigmoid"}) for i in range(2)]
    others = [StageTrial(2 + i, 0.5 if i % 2 else None, not i % 2, {"activation": "relu"}) for i in range(4)]
    found = refine(spec, [*two, *others], keep=0.5)
    assert found.space == spec.space
    assert messages(found)["activation"].endswith("none was clearly worse than the others")


def test_refine_fixes_the_last_choice_and_drops_its_conditionals() -> None:
    space = {
        "optimizer": {"choice": ["adam", "sgd"]},
        "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
        "beta1": {"uniform": [0.5, 0.9], "when": {"optimizer": "adam"}},
    }
    spec = study(space)
    found = refine(spec, results(spec, lambda v: 0.5 if v["optimizer"] == "adam" else None), keep=0.25)
    assert found.fixed == {"optimizer": "adam"}
    assert list(found.space) == ["beta1"]
    assert "momentum: left out, since it is drawn only with choices that were dropped" in [
        each.message for each in found.decisions
    ]
    assert "optimizer: fixed at adam: sgd dropped" in messages(found)["optimizer"]


@pytest.mark.parametrize("learned", [1, 2])
def test_a_range_is_kept_if_too_few_trials_learned(learned: int) -> None:
    spec = study({"lr": {"log": [1e-4, 1.0]}})
    trials = [StageTrial(i, 0.5 if i < learned else None, i >= learned, {"lr": 0.1}) for i in range(20)]
    found = refine(spec, trials, keep=0.25)
    assert found.space == spec.space
    assert f"only {learned} of the best trials have it" in messages(found)["lr"]


def test_a_range_is_kept_if_the_best_are_most_of_all() -> None:
    spec = study({"lr": {"log": [1e-4, 1.0]}})
    found = refine(spec, at("lr", [0.1, 0.11, 0.12], [0.5, 0.5]), keep=0.25)
    assert found.space == spec.space
    assert "the best 3 are most of the 5 trials that have it" in messages(found)["lr"]


def test_refine_ranks_pruned_trials_behind_complete_ones_by_epoch() -> None:
    complete = [StageTrial(0, 0.5, False, {"lr": 0.010}), StageTrial(1, 0.6, False, {"lr": 0.012})]
    # Two of four are complete: the third of the best is who came farthest, not who had most so far.
    late, early = StageTrial(2, 0.3, False, {"lr": 0.02}, 3), StageTrial(3, 0.55, False, {"lr": 0.9}, 1)
    others = [StageTrial(slot, 0.1, False, {"lr": 0.5}, 1) for slot in range(4, 12)]
    found = refine(study({"lr": {"log": [1e-4, 1]}}), [*others, early, late, *complete], keep=0.25)
    low, high = found.decisions[0].evidence["best_low"], found.decisions[0].evidence["best_high"]
    assert (low, high, found.decisions[0].evidence["best"]) == (0.010, 0.02, 3)


def test_nothing_is_left_if_nothing_learned() -> None:
    spec = study({"lr": {"log": [1e-4, 1.0]}})
    found = refine(spec, results(spec, lambda _: None, 12), keep=0.25)
    assert (found.space, found.fixed) == ({}, {})
    (decision,) = found.decisions
    assert decision.action == "end"
    assert decision.message.startswith("none of 12 trials learned, so nothing is left of the space")


def test_the_order_in_which_trials_ended_does_not_matter() -> None:
    spec = study({"lr": {"log": [1e-4, 1.0]}, "activation": {"choice": ["relu", "elu"]}})
    # Accuracies on few images have many ties.
    trials = results(spec, lambda v: round(0.7 - abs(math.log10(v["lr"]) + 2) / 5, 1))
    assert refine(spec, trials, 0.25) == refine(spec, sorted(trials, key=lambda each: each.slot), 0.25)


def test_coarse_to_fine_comes_near_the_optimum_and_does_not_lose_it() -> None:
    """On 50 made-up studies with noise: the optimum is in the refined range in nearly all."""
    kept = 0
    widths = []
    for seed in range(50):
        generator = np.random.default_rng(seed)
        optimum = generator.uniform(-3.5, -0.5)
        spec = study({"lr": {"log": [1e-4, 1.0]}, "dropout": {"uniform": [0.0, 0.8]}}).model_copy(
            update={"seed": seed}
        )
        trials = results(
            spec,
            lambda v: 0.7 - (math.log10(v["lr"]) - optimum) ** 2 / 10 + generator.normal(0, 0.01),  # noqa: B023
            24,
        )
        lr = refine(spec, trials, keep=0.25).space["lr"]
        assert isinstance(lr, Log)
        low, high = np.log10(lr.log)
        kept += low <= optimum <= high
        widths.append(high - low)
    assert kept >= 48
    assert np.mean(widths) < 0.6 * 4
