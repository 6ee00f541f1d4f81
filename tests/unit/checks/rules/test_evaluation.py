"""Evaluation mode: the same answer twice, whatever else is in the batch."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.evaluation import evaluation
from tests.helpers.observed import LIMITS, NAN, one, preflight, seen

LIMIT = LIMITS.eval_difference


def answers(noise: float, effect: float) -> Observations:
    return seen(preflight=preflight(eval_noise=noise, eval_batch_effect=effect))


@pytest.mark.parametrize(("noise", "effect"), [(0.0, 0.0), (LIMIT, LIMIT)])
def test_evaluation_the_same_answers_pass(noise: float, effect: float) -> None:
    found = one(evaluation(answers(noise, effect), LIMITS), "pass", "")
    assert (found.value, found.threshold) == (noise, LIMIT)


@pytest.mark.parametrize(
    ("noise", "effect", "words"),
    [(LIMIT * 1.01, 0.0, "two evaluations"), (0.0, LIMIT * 1.01, "of its batch"), (1.0, 2.0, "two evaluat")],
)
def test_evaluation_others_are_named(noise: float, effect: float, words: str) -> None:
    found = one(evaluation(answers(noise, effect), LIMITS), "warn", "eval_mode")
    assert words in found.message and found.remedy.change == {"code": "call_train"}
    assert (found.value, found.threshold) == (noise or effect, LIMIT)


@pytest.mark.parametrize(("noise", "effect"), [(NAN, NAN), (0.0, NAN), (NAN, 0.0)])
def test_evaluation_outputs_that_are_not_finite_neither_pass_nor_fail(noise: float, effect: float) -> None:
    assert evaluation(answers(noise, effect), LIMITS) == []
