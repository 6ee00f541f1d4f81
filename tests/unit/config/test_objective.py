"""The objective: directions, scores, best values and their text."""

from __future__ import annotations

import math

import pytest

from hpo.config.objective import WORST_SCORE, Objective, natural_direction
from hpo.config.parsing.load import parse_study
from hpo.errors import StudyFileError
from hpo.records import EpochResult, reported_epoch

STUDY = "study: s\ntrials: 2\nspace:\n  lr: {log: [1e-3, 1]}\n"
ACCURACY = Objective()
LOSS = Objective("val_loss", "minimize")
RETURN = Objective("episode_return", "maximize")


def curve(*losses: float) -> list[EpochResult]:
    return [reported_epoch(epoch, {"val_loss": loss}, 1.0) for epoch, loss in enumerate(losses, start=1)]


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("val_accuracy", "maximize"),
        ("val_acc", "maximize"),
        ("macro_f1", "maximize"),
        ("val/Loss", "minimize"),
        ("rmse", "minimize"),
        ("log_loss", "minimize"),
        ("lossless", None),
        ("energy", None),
    ],
)
def test_a_name_tells_the_direction_or_none(metric: str, direction: str | None) -> None:
    assert natural_direction(metric) == direction


def test_the_best_of_a_loss_is_the_lowest_finite_value() -> None:
    assert LOSS.best([0.7, math.nan, 0.2, -math.inf, 0.3]) == 0.2
    assert ACCURACY.best([0.7, math.nan, 0.2, math.inf]) == 0.7
    assert LOSS.best([math.nan]) is None


def test_the_best_epoch_is_the_first_of_equals() -> None:
    best = LOSS.best_epoch(curve(0.9, 0.4, math.nan, 0.4))
    assert best is not None and best.epoch == 2
    assert LOSS.best_epoch(curve(math.nan, math.inf)) is None


def test_better_follows_the_direction_and_nan_is_never_better() -> None:
    assert LOSS.better(0.1, 0.2) and not LOSS.better(0.2, 0.1)
    assert ACCURACY.better(0.2, 0.1) and not ACCURACY.better(0.1, 0.1)
    assert LOSS.better(1e300, math.nan) and not LOSS.better(math.nan, 1e300)


def test_scores_of_negative_values_stay_ahead_of_the_worst() -> None:
    assert RETURN.score(-1e9) > RETURN.score(math.nan) == WORST_SCORE
    assert LOSS.score(3.0) == -3.0 > LOSS.score(math.inf) == WORST_SCORE
    assert LOSS.value(LOSS.score(3.0)) == 3.0
    assert LOSS.value(WORST_SCORE) is None


def test_gain_is_positive_for_the_better_of_two() -> None:
    assert LOSS.gain(0.25, 0.5) == ACCURACY.gain(0.5, 0.25) == 0.25


@pytest.mark.parametrize(
    ("objective", "value", "text"),
    [
        (ACCURACY, 0.81239, "0.8124"),
        (Objective("balanced_accuracy"), 1.0, "1.0000"),
        (LOSS, 2.302585, "2.303"),
        (LOSS, 0.00012345, "0.0001234"),
        (RETURN, -1234.56, "-1235"),
        (RETURN, 1.5e8, "1.500e+08"),
        (RETURN, 0.0, "0.000"),
        (LOSS, None, "–"),
    ],
)
def test_text_has_four_decimals_or_significant_digits(
    objective: Objective, value: float | None, text: str
) -> None:
    assert objective.text(value) == text


def test_reported_metrics_fill_their_columns_and_the_rest_stays_by_name() -> None:
    epoch = reported_epoch(3, {"val_loss": 0.5, "lr": 0.1, "val/f1": 0.9}, 2.0)
    assert (epoch.epoch, epoch.val_loss, epoch.lr, epoch.seconds) == (3, 0.5, 0.1, 2.0)
    assert math.isnan(epoch.val_accuracy) and epoch.metrics == {"val/f1": 0.9}
    assert Objective("val/f1").of(epoch) == 0.9 and math.isnan(Objective("recall").of(epoch))


@pytest.mark.parametrize(
    ("short", "metric", "direction"),
    [
        ("accuracy", "val_accuracy", "maximize"),
        ("balanced_accuracy", "val_balanced_accuracy", "maximize"),
        ("macro_f1", "val_macro_f1", "maximize"),
        ("auc", "val_auc", "maximize"),
        ("log_loss", "val_loss", "minimize"),
    ],
)
def test_short_name_of_a_metric_of_images_is_that_of_the_results(
    short: str, metric: str, direction: str
) -> None:
    spec = parse_study(f"{STUDY}objective: {short}\n", "s.yaml")
    assert (spec.objective, spec.goal.direction) == (metric, direction)


def test_short_name_in_an_own_training_is_its_own_metric() -> None:
    own = "study: s\ntrials: 2\ntrainer: a.b:c\nspace:\n  lr: {log: [1e-3, 1]}\nobjective: accuracy\n"
    assert parse_study(own, "s.yaml").objective == "accuracy"


def test_own_function_needs_a_direction_unless_its_name_tells_it() -> None:
    assert parse_study(f"{STUDY}objective: my.metrics:f2_score\n", "s.yaml").goal.direction == "maximize"
    with pytest.raises(StudyFileError, match="direction: is missing"):
        parse_study(f"{STUDY}objective: my.metrics:cost\n", "s.yaml")
    minimized = parse_study(f"{STUDY}objective: my.metrics:cost\ndirection: minimize\n", "s.yaml")
    assert minimized.goal == Objective("my.metrics:cost", "minimize")


def test_own_function_of_an_own_training_is_not_a_metric() -> None:
    own = "study: s\ntrials: 2\ntrainer: a.b:c\nspace:\n  lr: {log: [1e-3, 1]}\nobjective: a:score\n"
    with pytest.raises(StudyFileError, match="'a:score' is not a valid name of a metric"):
        parse_study(own, "s.yaml")
