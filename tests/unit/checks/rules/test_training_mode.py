"""Networks that are trained in evaluation mode."""

from __future__ import annotations

from hpo.checks.rules.training_mode import training_mode
from tests.helpers.observed import LIMITS, forward, one, seen

NORMS = ("norm1", "norm2", "norm3")


def test_training_mode_evaluation_mode_is_for_passes_without_gradients() -> None:
    passes = [forward(0), forward(100, learning=False, training_mode=False, eval_norms=NORMS), forward(101)]
    assert training_mode(seen(forwards=passes), LIMITS) == []
    assert training_mode(seen(forwards=[]), LIMITS) == []


def test_training_mode_the_first_wrong_pass_is_named() -> None:
    passes = [forward(0), forward(100, eval_norms=NORMS[:1]), forward(200, eval_norms=NORMS)]
    found = one(training_mode(seen(forwards=passes), LIMITS), "warn", "eval_mode")
    assert (found.value, found.threshold, found.step) == (1.0, 0.0, 100)
    assert found.message == "module norm1 is in evaluation mode during training, from step 100 on"
    assert found.remedy.change == {"code": "call_train"}


def test_training_mode_from_the_start_and_two_names_are_enough() -> None:
    found = one(training_mode(seen(forwards=[forward(0, eval_norms=NORMS)]), LIMITS), "warn")
    assert found.value == 3.0 and found.message.startswith("modules norm1, norm2 and 1 more are in")
    assert found.message.endswith("from the start")
