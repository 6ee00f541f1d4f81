"""A search in stages replayed: coarse, fine, confirmed; with the rules with which `hpo run` starts a stage.

The table represents the space. The first stage draws from all of it; a later one from the configurations
within the ranges that `refine` leaves that no stage took before, at random or with the odds of `around`; so
nothing beyond the recorded ranges is searched where a range is widened. What a stage carries is trained again
with its epochs. The confirmation trains the best again, with the recorded trainings of other seeds.

Whatever a search picks is judged by one training that had no part in the choice: each other seed is the judge
in turn, and the confirmation has the rest. A search that does not confirm picks its best value, and is judged
by the same trainings. A configuration without recorded other seeds is not confirmed; if plain search picks
one, its own value counts, which flatters plain search.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpo.checks.causes import HEALTHY
from hpo.config.methods import Rules
from hpo.config.parsing.load import load_study
from hpo.config.space import Choice
from hpo.config.study import ConfirmationSettings, StudySpec
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.stages.confirm import confirm
from hpo.stages.refine import Refined, StageTrial, refine
from search_replay.curves import Curves, Recorded
from search_replay.nearby import in_order
from search_replay.replay import Replay, Taken

CLASSES, TRAIN_IMAGES = 10, 50_000
"""Of CIFAR-10, of which the validation images of the recording are a part."""


@dataclass(frozen=True)
class Leg:
    """A searching stage: its number of trials, few epochs or all, its pruner, and its space.

    ``space``, ``keep`` and ``carry`` as in a study file; they do not apply to the first stage.
    """

    trials: int
    short: bool = False
    pruner: Rules | None = None
    space: Literal["refine", "around"] = "refine"
    keep: float = 0.25
    carry: int = 0


@dataclass(frozen=True)
class Plan:
    """A study file's stages: those that search, and how many of the best are confirmed."""

    legs: tuple[Leg, ...]
    top: int = 3
    seeds: int = 2


@dataclass(frozen=True)
class Picked:
    """The result of a search: the judged value of its pick, and the epochs that it trained."""

    value: float
    epochs: int


def recorded_spec() -> StudySpec:
    """The study whose trials the table has."""
    return load_study(str(Path(__file__).with_name("recording.yaml")))


def coarse_to_fine(spec: StudySpec, curves: Curves, plan: Plan, workers: int, seed: int) -> Picked:
    """One study in stages, and the judged value of the winner."""
    order = random.Random(seed).sample(range(len(curves.trials)), len(curves.trials))
    place_of = {each.number: place for place, each in enumerate(curves.trials)}
    stages: list[list[Taken]] = []
    for leg in plan.legs:
        places = order[: leg.trials]
        if stages:
            found = refine(spec, tried(spec, stages[-1]), leg.keep)
            spec = spec.model_copy(update={"space": found.space, "fixed": {**spec.fixed, **found.fixed}})
            best = best_of([taken for stage in stages for taken in stage])
            carried = [place_of[each.number] for each in best[: leg.carry]]
            left = _left(found, leg, curves, order, seed * 10 + len(stages))
            places = [*carried, *left[: leg.trials - len(carried)]]
        # No configuration is drawn twice.
        order = [each for each in order if each not in places]
        stages.append(_train(leg, places, curves, workers))
    searched = sum(each.done for stage in stages for each in stage)
    whole = [taken for leg, stage in zip(plan.legs, stages, strict=True) if not leg.short for taken in stage]
    return confirmed(best_of(whole), curves, plan, searched)


def _left(found: Refined, leg: Leg, curves: Curves, order: Sequence[int], seed: int) -> list[int]:
    """What may be drawn of the table after ``found``, in the order in which it is."""
    if not found.best:
        return []  # nothing learned: the study ends
    left = [each for each in order if inside(found, curves.trials[each])]
    if leg.space != "around":
        return left
    best = [each.values for each in found.best]
    drawn = in_order([curves.trials[each].values for each in left], best, found.space, seed)
    return [left[place] for place in drawn]


def confirmed(candidates: Sequence[Recorded], curves: Curves, plan: Plan, searched: int) -> Picked:
    """The judged value of the confirmed winner of the best ``plan.top`` of the candidates."""
    best = [each for each in candidates if each.again][: plan.top]
    epochs = searched + len(best) * plan.seeds * curves.epochs
    judges = _judges(best)
    values = [_judged(_winner(best, plan, judge), judge) for judge in judges]
    return Picked(statistics.mean(values) if values else 0.0, epochs)


def plain(curves: Curves, budget: int, seed: int, checked: bool = True) -> Picked:
    """Random search that trains to the end until the budget is spent, and believes its best value.

    The trial in which the budget ends is trained to its end.
    """
    taken, spent = _until(curves, budget, seed, checked)
    candidates = best_of(taken)
    if not candidates:
        return Picked(0.0, spent)
    best = candidates[0]
    judges = _judges([best])
    values = [_judged(best, judge) for judge in judges] or [best.best]
    return Picked(statistics.mean(values), spent)


def plain_confirmed(curves: Curves, plan: Plan, budget: int, seed: int) -> Picked:
    """Random search in full that spends a part of the same budget on a confirmation as in ``plan``."""
    confirmation = plan.top * plan.seeds * curves.epochs
    taken, spent = _until(curves, budget - confirmation, seed, checked=True)
    return confirmed(best_of(taken), curves, plan, spent)


def tried(spec: StudySpec, taken: Sequence[Taken]) -> list[StageTrial]:
    """Return what `hpo run` would know about a stage's trials."""
    results = StudyResults(spec, tuple(_result(spec, each) for each in taken), CLASSES, TRAIN_IMAGES)
    found = []
    for trial, result in zip(taken, results.trials, strict=True):
        stopped_at = trial.done if trial.state in ("stopped", "paused") else None
        value = None if trial.state == "hopeless" else trial.best
        found.append(StageTrial(trial.slot, value, results.failed(result), result.values, stopped_at))
    return found


def inside(found: Refined, each: Recorded) -> bool:
    """Whether a configuration may be drawn from what is left of a space."""
    for name, distribution in found.space.items():
        value = each.values[name]
        if value is None:
            continue
        if isinstance(distribution, Choice):
            if not distribution.can_be(value):
                return False
        elif not distribution.bounds[0] <= value <= distribution.bounds[1]:
            return False
    return all(each.values[name] in (value, None) for name, value in found.fixed.items())


def best_of(taken: Sequence[Taken]) -> list[Recorded]:
    """Those trained to their end, best first; of equals, the one that was taken first."""
    complete = [each for each in taken if each.state == "complete"]
    return [each.recorded for each in sorted(complete, key=lambda each: -each.best)]


def _train(leg: Leg, places: Sequence[int], curves: Curves, workers: int) -> list[Taken]:
    table = curves.shortened if leg.short else curves
    replay = Replay([table.trials[each] for each in places], table.epochs, workers, leg.pruner)
    replay.run()
    return replay.taken


def _until(curves: Curves, budget: int, seed: int, checked: bool) -> tuple[list[Taken], int]:
    """Trials one after the other until ``budget`` epochs are spent."""
    order = random.Random(seed).sample(curves.trials, len(curves.trials))
    replay = Replay(order, curves.epochs, 1, checked=checked)
    replay.run()
    spent = 0
    for count, trial in enumerate(replay.taken):
        if spent >= budget:
            return replay.taken[:count], spent
        spent += trial.done
    return replay.taken, spent


def _result(spec: StudySpec, trial: Taken) -> TrialResult:
    values = {
        name: trial.recorded.values[name] for name in spec.space if trial.recorded.values[name] is not None
    }
    complete = trial.state == "complete"
    cause = trial.recorded.cause if trial.state == "hopeless" else HEALTHY
    return TrialResult(
        trial.slot, "complete" if complete else "pruned", trial.best if complete else None, cause, 0.0, values
    )


def _judges(chosen: Sequence[Recorded]) -> range:
    """The other seeds with which all of them were trained."""
    return range(min((len(each.again) for each in chosen), default=0))


def _judged(chosen: Recorded, judge: int) -> float:
    """Return 0 for a training that a check ended."""
    return chosen.again[judge] or 0.0


def _winner(best: Sequence[Recorded], plan: Plan, judge: int) -> Recorded:
    confirmation = ConfirmationSettings(top=plan.top, seeds=plan.seeds)
    values = []
    for each in best:
        runs = [value for seed, value in enumerate(each.again) if seed != judge]
        values.append({(seed, None): value for seed, value in enumerate(runs[: plan.seeds])})
    return best[confirm(confirmation, values)[0].candidate]
