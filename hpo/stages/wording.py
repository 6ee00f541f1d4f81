"""A confirmation in words: which configurations were chosen, and what their runs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.config.study import ConfirmationSettings
from hpo.stages.confirm import LEVEL, Confirmed
from hpo.stages.refine import SpaceDecision

Candidate = tuple[int, str, float]
"""The number of the trial that found a configuration, its stage and its value."""
TOLD_APART = 0.05
"""The p-value up to which the winner is said to be ahead."""


def chosen(confirmation: ConfirmationSettings, candidates: Sequence[Candidate]) -> list[SpaceDecision]:
    """Which configurations are trained again, and how often."""
    if not candidates:
        message = "no trial learned, so there is nothing to confirm: the study ends here"
        return [SpaceDecision("", "end", message, {})]
    decisions = [
        SpaceDecision(
            f"trial {number}",
            "keep",
            f"trial {number} of stage {stage} ({value:.4f}) is trained again {how_often(confirmation)}",
            {"number": number, "stage": stage, "search_value": value},
        )
        for number, stage, value in candidates
    ]
    if len(candidates) < confirmation.top:
        message = f"of the {confirmation.top} that were to be confirmed, only {len(candidates)} learned"
        decisions.append(
            SpaceDecision("", "keep", message, {"asked": confirmation.top, "found": len(candidates)})
        )
    return decisions


def how_often(confirmation: ConfirmationSettings) -> str:
    """``3 times with other seeds``, ``with 2 seeds in each of 5 folds``."""
    if not confirmation.folds:
        return f"{confirmation.seeds} times with other seeds"
    seeds = f"{confirmation.seeds} seeds" if confirmation.seeds > 1 else "one seed"
    return f"with {seeds} in each of {confirmation.folds} folds"


def confirmed(
    confirmation: ConfirmationSettings,
    ranking: Sequence[Confirmed],
    found: Mapping[int, tuple[int, float]],
    best_found: float,
    as_long: bool,
) -> list[SpaceDecision]:
    """The winner and how sure that is; the others; and how much better the search made it look.

    ``found`` has the number and the search value of each candidate's trial. ``as_long`` says whether the
    trial of ``best_found`` had the epochs and images of a confirming run: else the values do not compare.
    """
    winner = ranking[0]
    if winner.completed < confirmation.runs_each or winner.mean is None:
        message = "no configuration completed all its runs, so none is confirmed: the study ends here"
        return [SpaceDecision("", "end", message, {})]
    decisions = [_winner(winner, ranking, found)]
    decisions += [_other(each, confirmation, found) for each in ranking[1:]]
    gap = best_found - winner.mean
    said = f"the best value of the search was {best_found:.4f}, the winner's mean is {winner.mean:.4f}: "
    if as_long:
        message = f"{said}{abs(gap):.4f} {'less, the winner' if gap > 0 else 'more, so no winner'}'s curse"
    else:
        message = f"{said}not after as many epochs and images, so neither speaks of a winner's curse"
    evidence = {"best_of_search": best_found, "confirmed": winner.mean, "gap": gap}
    return [*decisions, SpaceDecision("", "keep", message, evidence)]


def _winner(
    winner: Confirmed, ranking: Sequence[Confirmed], found: Mapping[int, tuple[int, float]]
) -> SpaceDecision:
    number, value = found[winner.candidate]
    said = f"trial {number} wins: {mean_text(winner)}, {value:.4f} in the search"
    if len(ranking) > 1 and winner.difference is not None:
        runner_up = found[ranking[1].candidate][0]
        said += f"; {winner.difference:.4f} ahead of trial {runner_up}"
        if winner.p_value is not None:
            apart = "told apart" if winner.p_value <= TOLD_APART else "which may be chance"
            said += f", {apart} (p = {winner.p_value:.2g})"
    said += "; it is trained on training and validation images and measured on the test images, once"
    return SpaceDecision(f"trial {number}", "keep", said, _evidence(winner, number, value))


def _other(
    each: Confirmed, confirmation: ConfirmationSettings, found: Mapping[int, tuple[int, float]]
) -> SpaceDecision:
    number, value = found[each.candidate]
    failed = confirmation.runs_each - each.completed
    said = f"{mean_text(each)}, {value:.4f} in the search"
    if failed:
        said = f"{failed} of {confirmation.runs_each} runs came to nothing" + (
            f"; the others: {said}" if each.completed else ""
        )
    return SpaceDecision(f"trial {number}", "drop", f"trial {number}: {said}", _evidence(each, number, value))


def looked_again(number: int, looks: int) -> SpaceDecision:
    """Somebody asked for a look at the test images, after ``looks`` others."""
    said = f"trial {number} is trained on training and validation images and measured on the test images"
    if looks:
        said += f": look {looks + 1}; only the first is an honest one"
    return SpaceDecision(f"trial {number}", "keep", said, {"number": number, "looks_before": looks})


def confidence() -> str:
    """How an interval is called."""
    return f"{LEVEL:.0%} interval"


def mean_text(each: Confirmed) -> str:
    """``0.7812 ± 0.0041 over 3 runs``: the mean and its 95 % interval."""
    if each.mean is None:
        return "no value"
    spread = f" ± {each.mean - each.low:.4f}" if each.low is not None else ""
    return f"{each.mean:.4f}{spread} ({LEVEL:.0%}, {each.completed} runs)"


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
