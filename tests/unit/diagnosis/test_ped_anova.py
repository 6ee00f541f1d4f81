from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

from hpo.config.parsing.load import parse_study
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.diagnosis.ped_anova import best_tenth_shares
from hpo.search.samplers.registry import sample_slot

STUDY = """
study: s
trials: {trials}
space:
  lr: {{log: [1.0e-4, 1.0]}}
  weight_decay: {{log: [1.0e-6, 1.0e-1]}}
  optimizer: {{choice: [sgd, adam]}}
  momentum: {{uniform: [0.8, 0.99], when: {{optimizer: sgd}}}}
"""


def study(trials: int, rule: Any) -> StudyResults:
    spec = parse_study(STUDY.format(trials=trials), "s.yaml")
    rows = []
    for slot in range(trials):
        values = sample_slot(spec, slot)
        value = rule(values)
        cause, state = ("healthy", "complete") if value is not None else ("exploding_loss", "pruned")
        rows.append(TrialResult(slot, state, value, cause, 1.0, values))  # type: ignore[arg-type]
    return StudyResults(spec, tuple(rows), 10, 50_000)


def test_ped_anova_what_the_best_have_in_common_gets_the_largest_share() -> None:
    def rule(values: Any) -> float | None:
        return None if values["lr"] > 0.1 else 0.8 - 0.1 * abs(math.log10(values["lr"]) + 2)

    shares = best_tenth_shares(study(120, rule))
    assert max(shares, key=lambda name: shares[name]) == "lr"
    assert shares["lr"] > 0.6 and sum(shares.values()) == pytest.approx(1)
    assert set(shares) == {"lr", "weight_decay", "optimizer", "momentum"}


def test_ped_anova_trials_that_came_to_nothing_are_the_worst() -> None:
    """Only that they failed tells these apart from the others."""
    shares = best_tenth_shares(
        study(60, lambda values: None if values["optimizer"] == "adam" else 0.5 + values["weight_decay"] / 9)
    )
    assert shares["optimizer"] > 0.02


def test_ped_anova_few_trials_report_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert best_tenth_shares(study(9, lambda values: 0.5 + values["lr"] / 9)) == {}
        assert best_tenth_shares(study(12, lambda values: 0.5 + values["lr"] / 9)) != {}
