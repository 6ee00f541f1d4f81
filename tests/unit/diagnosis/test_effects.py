from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.effects import Effect, effects, holm


def found(results: StudyResults) -> dict[str, Effect]:
    values = [trial.value or 0.0 for trial in results.trials]
    return {each.name: each for each in effects(results, results.trials, values)}


def noisy(values: Any, size: float = 0.01) -> float:
    """Noise that is a function of the configuration: a pseudo-random normal number."""
    digits = math.modf(values["weight_decay"] * 1e7 + values["lr"] * 1e5)[0]
    return size * float(scipy.stats.norm.ppf(0.001 + 0.998 * abs(digits)))


def test_effects_shares_are_those_of_a_known_function(make_study: Any) -> None:
    """y = a log10 lr + b [sgd] + noise, drawn uniformly, has the variances a^2 16/12, b^2 / 4 and s^2."""

    def rule(values: Any) -> float:
        linear = 0.03 * math.log10(values["lr"])
        return 0.6 + linear + 0.05 * (values["optimizer"] == "sgd") + noisy(values, 0.02)

    parts = {"lr": 0.03**2 * 16 / 12, "optimizer": 0.05**2 / 4}
    total = sum(parts.values()) + 0.02**2
    shares = found(make_study(rule, trials=400))
    for name, part in parts.items():
        # Fifths of the trials keep 24/25 of a linear trend.
        kept = 24 / 25 if name == "lr" else 1
        assert shares[name].share == pytest.approx(part / total * kept, abs=0.08)
        assert shares[name].p_value == 1 / 2000
    for name in ("activation", "initializer", "batch_norm", "momentum"):
        assert shares[name].share < 0.03


def test_effects_the_share_of_a_choice_is_the_adjusted_r_squared(make_study: Any) -> None:
    results = make_study(lambda values: 0.5 + 0.03 * (values["batch_norm"] == "none") + noisy(values))
    effect = found(results)["batch_norm"]
    values = np.array([trial.value for trial in results.trials])
    norms = np.array([trial.values["batch_norm"] for trial in results.trials])
    groups = [values[norms == norm] for norm in set(norms)]
    inside = sum(((group - group.mean()) ** 2).sum() for group in groups) / (len(values) - len(groups))
    assert effect.share == pytest.approx(1 - inside / values.var(ddof=1))
    assert {group.label: group.trials for group in effect.groups} == {
        norm: int((norms == norm).sum()) for norm in set(norms)
    }
    assert effect.best.label == "none"
    assert effect.best.mean == pytest.approx(values[norms == "none"].mean())


def test_effects_p_values_agree_with_the_f_test(make_study: Any) -> None:
    results = make_study(lambda values: 0.5 + 0.006 * (values["optimizer"] == "sgd") + noisy(values))
    effect = found(results)["optimizer"]
    by = {
        name: [t.value for t in results.trials if t.values["optimizer"] == name] for name in ("sgd", "adam")
    }
    expected = scipy.stats.f_oneway(*by.values()).pvalue
    assert 0.01 < expected < 0.5
    assert effect.p_value == pytest.approx(expected, rel=0.25)


def test_effects_a_conditional_hyperparameter_is_judged_where_it_applies(make_study: Any) -> None:
    results = make_study(lambda values: 0.5 + values.get("momentum", 0.0) + noisy(values))
    effect = found(results)["momentum"]
    assert effect.trials == sum("momentum" in trial.values for trial in results.trials) < 60
    assert effect.share > 0.8
    low, high = map(float, effect.best.label.split(" to "))
    assert 0.9 < low < high <= 0.99


def test_effects_few_trials_and_equal_outcomes_have_no_effect(make_study: Any) -> None:
    assert found(make_study(lambda values: 0.5)) == {}
    assert found(make_study(noisy, trials=9)) == {}


def test_effects_a_whole_number_is_written_as_one(make_study: Any) -> None:
    results = make_study(
        lambda values: 0.1 * values["depth"], space="\n  depth: {int: [2, 5]}", head="fixed: {width: 4}"
    )
    assert [group.label for group in found(results)["depth"].groups] == ["2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [True, False, False, True]),  # S. Holm's own levels: alpha / 4, / 3, / 2
        ([0.012, 0.016, 0.024, 0.049], [True, True, True, True]),
        ([0.02, 0.001], [True, True]),
        ([], []),
    ],
)
def test_effects_holm_continues_while_each_next_is_small_enough(
    p_values: list[float], expected: list[bool]
) -> None:
    assert holm(p_values, 0.05) == expected
