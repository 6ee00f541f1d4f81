"""Which hyperparameters matter: for training at all, and for the value of the trials that trained.

Trials that failed or did not learn are neither left out nor mixed with the others: the first question is
about all trials, as 1 (it learned) or 0, the second about the values of those that learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hpo.config.objective import ACCURACY, Objective
from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.conditions import Mask, TrialTable
from hpo.diagnosis.effects import Effect, Group, effects, holm
from hpo.diagnosis.interactions import Cell, Interaction, interactions
from hpo.text import counted

Question = Literal["trains", "value"]

ALPHA = 0.05 / 4
"""For each of four families of tests: two questions, each for single settings and for pairs. At most 5 % of
studies whose outcomes do not depend on their settings get a statement."""
WORST = 0.25
"""Share of the trained trials whose value counts as bad in the search for pairs."""
FEWEST_OF_A_KIND = 3
"""Minimum of trials that learned, and of trials that did not, for the first question."""


@dataclass(frozen=True)
class Answer:
    """The answer to one question; ``sure`` names the effects that are beyond chance.

    ``good`` of the ``trials`` trained, or were better than the worst quarter.
    """

    question: Question
    trials: int
    good: int
    effects: tuple[Effect, ...]
    sure: tuple[str, ...]
    interactions: tuple[Interaction, ...]

    @property
    def statements(self) -> list[str]:
        """The significant effects as sentences, the strongest first."""
        effect = _of_training if self.question == "trains" else _of_value
        single = [effect(self, each) for each in self.effects if each.name in self.sure]
        return single + [_pair(self, each) for each in self.interactions]


def importance(results: StudyResults) -> list[Answer]:
    """Answer each question for which the study has enough trials. Deterministic."""
    results = results.within_limit
    failed = np.array([results.failed(trial) for trial in results.trials], bool)
    answers = []
    if min(failed.sum(), (~failed).sum()) >= FEWEST_OF_A_KIND:
        answers.append(_answer("trains", results, failed, (~failed).astype(float).tolist()))
    learned = replace(results, trials=tuple(results.ranked))
    values = [trial.value or 0.0 for trial in learned.trials]
    if len(set(values)) > 1:
        scores = np.array([results.goal.score(value) for value in values])
        answers.append(_answer("value", learned, scores < np.quantile(scores, WORST), values, results.goal))
    return [answer for answer in answers if answer.effects]


def strongest(answers: Sequence[Answer]) -> list[str]:
    """Return the first statement on each question."""
    return [answer.statements[0] for answer in answers if answer.statements]


def _answer(
    question: Question,
    results: StudyResults,
    bad: Mask,
    outcomes: Sequence[float],
    objective: Objective = ACCURACY,
) -> Answer:
    found = effects(results, results.trials, outcomes, objective)
    sure = holm([each.p_value for each in found], ALPHA)
    return Answer(
        question,
        trials=len(results.trials),
        good=int((~bad).sum()),
        effects=tuple(found),
        sure=tuple(each.name for each, is_sure in zip(found, sure, strict=True) if is_sure),
        interactions=tuple(interactions(results, TrialTable.of(results), bad, ALPHA)),
    )


def _of_training(answer: Answer, effect: Effect) -> str:
    return (
        f"{_subject(answer, effect)} explains {effect.share:.0%} of whether a trial trains at all: "
        f"{_trained(effect.best)} did, {_trained(effect.worst)}"
    )


def _trained(group: Group) -> str:
    return f"{round(group.mean * group.trials)} of {group.trials} at {group.label}"


def _of_value(answer: Answer, effect: Effect) -> str:
    best, worst, goal = effect.best, effect.worst, effect.objective
    low, high = (f"{each.mean:.3f}" if goal.is_accuracy else goal.text(each.mean) for each in (worst, best))
    return (
        f"{_subject(answer, effect)} explains {effect.share:.0%} of the variance of {goal.metric} between "
        f"trials that trained: mean {high} at {best.label}, {low} at {worst.label}"
    )


def _subject(answer: Answer, effect: Effect) -> str:
    """Return the name, with the number of trials compared if these are not all."""
    if effect.trials == answer.trials:
        return effect.name
    return f"{effect.name} (in the {counted(effect.trials, 'trial')} compared)"


def _pair(answer: Answer, found: Interaction) -> str:
    first, second = found.conditions
    count = _trained_of if answer.question == "trains" else _bad_of
    what = "trained" if answer.question == "trains" else "in the worst quarter"
    return (
        f"{first} with {second}: {count(found.both)} {what}; {first} with another {second.name} "
        f"{count(found.first)}, {second} with another {first.name} {count(found.second)}"
    )


def _trained_of(cell: Cell) -> str:
    return f"{cell.trials - cell.bad} of {cell.trials}"


def _bad_of(cell: Cell) -> str:
    return f"{cell.bad} of {cell.trials}"
