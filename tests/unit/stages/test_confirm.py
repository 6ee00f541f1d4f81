"""What repeated trainings of the best say; intervals and tests are scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.config.objective import Objective
from hpo.config.study import ConfirmationSettings
from hpo.stages.confirm import confirm, run_of
from hpo.stages.wording import candidates, confirmation_result

SEEDS = ConfirmationSettings(top=2, seeds=4)


def _values(*runs: float | None) -> dict[tuple[int, int | None], float | None]:
    return {(seed, None): value for seed, value in enumerate(runs)}


def test_slots_train_every_candidate_once_before_any_twice() -> None:
    folded = ConfirmationSettings(top=3, seeds=2, folds=2)
    runs = [run_of(folded, 3, slot) for slot in range(3 * folded.runs_each)]
    assert [(run.candidate, run.seed, run.fold) for run in runs[:7]] == [
        (0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1), (1, 0, 1), (2, 0, 1), (0, 1, 0),
    ]  # fmt: skip
    assert len(set(runs)) == 12
    assert run_of(SEEDS, 2, 5).fold is None


def test_the_interval_is_students_and_the_difference_is_tested_in_pairs() -> None:
    first, second = [0.70, 0.74, 0.71, 0.73], [0.69, 0.72, 0.70, 0.73]
    winner, runner_up = confirm(SEEDS, [_values(*second), _values(*first)])
    assert (winner.candidate, winner.rank, runner_up.candidate, runner_up.rank) == (1, 1, 0, 2)
    interval = stats.t.interval(0.95, 3, np.mean(first), stats.sem(first))
    assert (winner.low, winner.high) == pytest.approx(interval)
    assert winner.mean == pytest.approx(np.mean(first))
    assert winner.difference == pytest.approx(0.01)
    assert winner.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert (runner_up.difference, runner_up.p_value) == (None, None)


def test_folds_share_images_so_the_interval_is_wider() -> None:
    values = [0.70, 0.74, 0.71, 0.73, 0.69]
    by_fold: dict[tuple[int, int | None], float | None] = {
        (0, fold): value for fold, value in enumerate(values)
    }
    (only,) = confirm(ConfirmationSettings(top=1, seeds=1, folds=5), [by_fold])
    error = np.std(values, ddof=1) * math.sqrt(
        1 / 5 + 1 / 4
    )  # Nadeau and Bengio (2003), n_val / n_train = 1/4
    assert only.high == pytest.approx(np.mean(values) + stats.t.ppf(0.975, 4) * error)


def test_confirm_a_failed_run_ranks_behind_complete_ones() -> None:
    ranking = confirm(SEEDS, [_values(0.9, 0.9, None, 0.9), _values(0.5, 0.5, 0.5, 0.5)])
    assert [each.candidate for each in ranking] == [1, 0]
    assert ranking[1].completed == 3
    # In pairs: over the three runs that both completed.
    assert ranking[0].difference == pytest.approx(-0.4)
    assert ranking[0].p_value == pytest.approx(0.0, abs=1e-9)


def test_confirm_without_runs_has_no_value_and_ends() -> None:
    (only,) = confirm(ConfirmationSettings(top=1, seeds=2), [_values(None, None)])
    assert (only.completed, only.mean, only.low) == (0, None, None)
    (decision,) = confirmation_result(
        ConfirmationSettings(top=1, seeds=2), [only], {0: (3, 0.8)}, 0.8, same_budget=True
    )
    assert decision.action == "end"
    assert decision.message.startswith("no configuration completed all its runs")


def test_confirmation_result_names_winner_and_winners_curse() -> None:
    ranking = confirm(SEEDS, [_values(0.70, 0.74, 0.71, 0.73), _values(0.69, 0.72, 0.70, 0.73)])
    numbers = {0: (31, 0.76), 1: (7, 0.75)}
    messages = [each.message for each in confirmation_result(SEEDS, ranking, numbers, 0.76, same_budget=True)]
    assert messages == [
        "trial 31 wins: 0.7200 ± 0.0291 (95%, 4 runs), 0.7600 in the search; 0.0100 ahead of trial 7, which "
        "may be chance (p = 0.092); it is trained on training and validation images and evaluated on the "
        "test images, once",
        "trial 7: 0.7100 ± 0.0291 (95%, 4 runs), 0.7500 in the search",
        "the best value of the search was 0.7600, the winner's mean is 0.7200: 0.0400 worse, the winner's "
        "curse",
    ]
    assert confirmation_result(SEEDS, ranking, numbers, 0.76, same_budget=False)[-1].message == (
        "the best value of the search was 0.7600, the winner's mean is 0.7200: their epochs and data "
        "differ, so this does not measure the winner's curse"
    )


def test_candidates_names_fewer_and_none_ends_the_study() -> None:
    messages = candidates(ConfirmationSettings(top=3, seeds=3), [(4, "fine", 0.8)])
    assert messages[0].message == "trial 4 of stage fine (0.8000) is trained again 3 times with other seeds"
    assert messages[1].message == "only 1 of the 3 configurations to be confirmed learned"
    assert [each.action for each in candidates(SEEDS, [])] == ["end"]


def test_confirm_of_a_loss_ranks_the_lowest_mean_first() -> None:
    loss = Objective("val_loss", "minimize")
    ranking = confirm(SEEDS, [_values(0.69, 0.72, 0.70, 0.73), _values(0.60, 0.64, 0.61, 0.63)], loss)
    assert [each.candidate for each in ranking] == [1, 0]
    assert ranking[0].difference == pytest.approx(0.09)
    messages = [
        each.message
        for each in confirmation_result(SEEDS, ranking, {0: (7, 0.65), 1: (31, 0.55)}, 0.55, True, loss)
    ]
    assert messages[0].startswith(
        "trial 31 wins: 0.6200 ± 0.02905 (95%, 4 runs), 0.5500 in the search; 0.09000"
    )
    assert messages[-1] == (
        "the best value of the search was 0.5500, the winner's mean is 0.6200: 0.07000 worse, the "
        "winner's curse"
    )
