"""The messages of decisions between stages: carried trials, selected candidates, confirmation results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.config.fields import setting
from hpo.config.objective import ACCURACY, Objective
from hpo.config.study import ConfirmationSettings
from hpo.stages.around import CHANGE
from hpo.stages.confirm import LEVEL, Confirmed
from hpo.stages.refine import RankedTrial, SpaceDecision
from hpo.text import counted

SIGNIFICANCE = 0.05
"""The largest p-value at which the winner is called significantly better."""


def around(trials: Sequence[int], of: int, before: str) -> SpaceDecision:
    """Describe which configurations are drawn around: the numbers of the best of ``of`` trials."""
    numbers = ", ".join(map(str, trials))
    message = (
        f"drawn around the best {len(trials)} of {counted(of, 'trial')} of {before}: numbers "
        "move on their scale by "
        f"about a third of their range, choices change in one of {round(1 / CHANGE)} draws (trials {numbers})"
    )
    return SpaceDecision("", "around", message, {"trials": list(trials), "of": of, "stage": before})


def carry(best: Sequence[RankedTrial]) -> SpaceDecision:
    """Describe which configurations are trained again."""
    listed = ", ".join(f"trial {number} of {stage} ({setting(value)})" for number, stage, value in best)
    which = f"best {len(best)}" if len(best) > 1 else "best"
    message = f"starts with the {which} so far, trained with this stage's epochs and data: {listed}"
    return SpaceDecision("", "carry", message, {"trials": [number for number, _, _ in best]})


def candidates(
    settings: ConfirmationSettings,
    best: Sequence[RankedTrial],
    goal: Objective = ACCURACY,
    within: str = "",
) -> list[SpaceDecision]:
    """Describe which configurations are trained again, and how often."""
    if not best:
        message = f"no trial learned{within}, so there is nothing to confirm: the study ends here"
        return [SpaceDecision("", "end", message, {})]
    decisions = [
        SpaceDecision(
            f"trial {number}",
            "keep",
            f"trial {number} of stage {stage} ({goal.text(value)}) is trained again {_how_often(settings)}",
            {"number": number, "stage": stage, "search_value": value},
        )
        for number, stage, value in best
    ]
    if len(best) < settings.top:
        asked = counted(settings.top, "configuration")
        message = f"only {len(best)} of the {asked} to be confirmed learned{within}"
        decisions.append(SpaceDecision("", "keep", message, {"asked": settings.top, "found": len(best)}))
    return decisions


def _how_often(settings: ConfirmationSettings) -> str:
    """``3 times with other seeds``, ``with 2 seeds in each of 5 folds``."""
    if not settings.folds:
        return f"{counted(settings.seeds, 'time')} with other seeds"
    seeds = counted(settings.seeds, "seed")
    return f"with {seeds} in each of {counted(settings.folds, 'fold')}"


def confirmation_result(
    settings: ConfirmationSettings,
    ranking: Sequence[Confirmed],
    found: Mapping[int, tuple[int, float]],
    best_of_search: float,
    same_budget: bool,
    goal: Objective = ACCURACY,
    tested: bool = True,
) -> list[SpaceDecision]:
    """Describe the winner and how significant its lead is, the others, and how optimistic the search was.

    ``found`` has the number and the search value of each candidate's trial. ``same_budget`` is whether the
    best trial of the search had the epochs and data of a confirming run; if not, values do not compare.
    ``tested`` is whether the winner is evaluated on test images.
    """
    winner = ranking[0]
    if winner.completed < settings.runs_each or winner.mean is None:
        message = "no configuration completed all its runs, so none is confirmed: the study ends here"
        return [SpaceDecision("", "end", message, {})]
    decisions = [_winner(winner, ranking, found, goal, tested)]
    decisions += [_other(each, settings, found, goal) for each in ranking[1:]]
    gap = goal.gain(best_of_search, winner.mean)
    message = (
        f"the best value of the search was {goal.text(best_of_search)}, the winner's mean is "
        f"{goal.text(winner.mean)}: "
    )
    if same_budget:
        message += (
            f"{goal.text(abs(gap))} {'worse, the winner' if gap > 0 else 'better, so no winner'}'s curse"
        )
    else:
        message += "their epochs and data differ, so this does not measure the winner's curse"
    evidence = {"best_of_search": best_of_search, "confirmed": winner.mean, "gap": gap}
    return [*decisions, SpaceDecision("", "keep", message, evidence)]


def _winner(
    winner: Confirmed,
    ranking: Sequence[Confirmed],
    found: Mapping[int, tuple[int, float]],
    goal: Objective,
    tested: bool,
) -> SpaceDecision:
    number, value = found[winner.candidate]
    message = f"trial {number} wins: {_mean_text(winner, goal)}, {goal.text(value)} in the search"
    if len(ranking) > 1 and winner.difference is not None:
        runner_up = found[ranking[1].candidate][0]
        message += f"; {goal.text(winner.difference)} ahead of trial {runner_up}"
        if winner.p_value is not None:
            verdict = "significant" if winner.p_value <= SIGNIFICANCE else "which may be chance"
            message += f", {verdict} (p = {winner.p_value:.2g})"
    if tested:
        message += "; it is trained on training and validation images and evaluated on the test images, once"
    return SpaceDecision(f"trial {number}", "keep", message, _evidence(winner, number, value))


def _other(
    each: Confirmed, settings: ConfirmationSettings, found: Mapping[int, tuple[int, float]], goal: Objective
) -> SpaceDecision:
    number, value = found[each.candidate]
    failed = settings.runs_each - each.completed
    result = f"{_mean_text(each, goal)}, {goal.text(value)} in the search"
    if failed:
        others = f"; the others: {result}" if each.completed else ""
        result = f"{failed} of {counted(settings.runs_each, 'run')} failed or were stopped{others}"
    return SpaceDecision(
        f"trial {number}", "drop", f"trial {number}: {result}", _evidence(each, number, value)
    )


def evaluation_message(number: int, earlier: int) -> SpaceDecision:
    """Describe an evaluation on the test images requested by a user, after ``earlier`` others."""
    message = f"trial {number} is trained on training and validation images and evaluated on the test images"
    if earlier:
        message += f": evaluation {earlier + 1}; only the first one is unbiased"
    return SpaceDecision(f"trial {number}", "keep", message, {"number": number, "looks_before": earlier})


def interval_label() -> str:
    """Label of the confidence interval."""
    return f"{LEVEL:.0%} interval"


def _mean_text(each: Confirmed, goal: Objective) -> str:
    """``0.7812 ± 0.0041 (95%, 3 runs)``: the mean and its interval."""
    if each.mean is None:
        return "no value"
    spread = f" ± {goal.text(each.mean - each.low)}" if each.low is not None else ""
    return f"{goal.text(each.mean)}{spread} ({LEVEL:.0%}, {counted(each.completed, 'run')})"


def _evidence(each: Confirmed, number: int, search_value: float) -> dict[str, object]:
    return {
        "number": number,
        "search_value": search_value,
        "completed": each.completed,
        "mean": each.mean,
        "low": each.low,
        "high": each.high,
        "difference": each.difference,
        "p_value": each.p_value,
    }
