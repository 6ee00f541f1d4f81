"""Studies with made-up outcomes: configurations drawn as a worker draws them, results by a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hpo.config.parsing.load import parse_study
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.search.samplers.registry import sample_slot

SPACE = """
  lr:           {log: [1.0e-4, 1.0]}
  weight_decay: {log: [1.0e-6, 1.0e-1]}
  activation:   {choice: [relu, elu, tanh, sigmoid]}
  initializer:  {choice: [he, xavier, small_gaussian]}
  batch_norm:   {choice: [none, before, after]}
  optimizer:    {choice: [sgd, adam]}
  momentum:     {uniform: [0.8, 0.99], when: {optimizer: sgd}}
"""

Rule = Callable[[Mapping[str, Any]], str | float]
MakeStudy = Callable[..., StudyResults]


@pytest.fixture
def make_study() -> MakeStudy:
    """A study of ``trials`` trials; ``rule`` gives a trial's cause of failure, or its accuracy.

    ``exploding_loss`` and ``error`` end a trial early; any other cause is a complete trial's at chance.
    """

    def make(
        rule: Rule, trials: int = 60, seed: int = 0, space: str = SPACE, head: str = "", **data: Any
    ) -> StudyResults:
        text = f"study: made-up\ntrials: {trials}\nseed: {seed}\n{head}\nspace:{space}"
        spec = parse_study(text, "made-up.yaml")
        rows = []
        for slot in range(trials):
            values = sample_slot(spec, slot)
            rows.append(_trial(slot, values, rule(values)))
        return StudyResults(spec, tuple(rows), **{"classes": 10, "train_images": 50_000, **data})

    return make


def _trial(number: int, values: Mapping[str, Any], result: str | float) -> TrialResult:
    if isinstance(result, float):
        return TrialResult(number, "complete", result, "healthy", 10.0, values)
    if result in ("exploding_loss", "error"):
        state: Any = "pruned" if result == "exploding_loss" else "failed"
        return TrialResult(number, state, None, result, 1.0, values)
    return TrialResult(number, "complete", 0.1, result, 10.0, values)
