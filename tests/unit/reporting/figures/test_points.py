from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Engine

from hpo.checks.causes import HEALTHY
from hpo.config.objective import Objective
from hpo.queries.study import study_overview
from hpo.reporting.figures.points import MOST_DRAWN, Axis, Point, StudyPicture, study_picture
from hpo.reporting.figures.study import slice_of
from hpo.reporting.figures.style import RUNNING, STOPPED_EARLY


def test_picture_counts_trials_by_cause(picture: StudyPicture) -> None:
    lrs = [10 ** (4 * ((7 * number) % 24) / 24 - 3) for number in range(24)]
    exploded = sum(lr >= 1 for number, lr in enumerate(lrs) if number not in (5, 23))
    counts = {cause: picture.count(cause) for cause in picture.causes}
    assert counts["lr_too_high"] == exploded > 3
    assert (counts["error"], counts[RUNNING], counts[STOPPED_EARLY]) == (1, 1, 1)
    assert counts[HEALTHY] == 24 - exploded - 3
    assert picture.causes[0] == HEALTHY and picture.causes[1] == "lr_too_high"


def test_picture_has_curves_and_values_of_the_database(picture: StudyPicture) -> None:
    best = picture.ranked[0]
    values = [each.value for each in picture.ranked if each.value is not None]
    assert [epoch for epoch, _ in best.curve] == [1, 2, 3, 4]
    assert [value for _, value in best.curve] == pytest.approx([values[0] * e / 4 for e in (1, 2, 3, 4)])
    assert 5 < len(values) == len(picture.ranked) and values == sorted(values, reverse=True)
    (running,) = picture.of(RUNNING)
    assert (running.number, running.value, len(running.curve)) == (23, None, 2)
    assert picture.chance == pytest.approx(0.1)


def test_picture_of_unequal_classes_has_the_share_of_the_largest(watched: Engine) -> None:
    overview = replace(study_overview(watched, "watched"), classes=2, class_counts=[475, 25])
    assert study_picture(watched, overview).chance == 0.95


def test_picture_omits_hyperparameters_that_do_not_apply(picture: StudyPicture) -> None:
    momentum = {point.number: "momentum" in point.values for point in picture.points}
    assert momentum == {number: number % 2 == 0 for number in range(24)}


def test_picture_axes_follow_the_search_space(picture: StudyPicture) -> None:
    lr, activation, _, momentum = picture.axes
    assert (lr.low, lr.high, lr.log, lr.label) == (1e-3, 10, True, "lr (log scale)")
    assert activation.choices == ("relu", "tanh", "sigmoid") and not momentum.log
    sizes = Axis("batch_size", 16, 256, log=True, unit="images a step")
    assert sizes.label == "batch_size (images a step, log scale)"


def test_axis_position() -> None:
    assert Axis("lr", 1e-4, 1.0, log=True).position(1e-2) == pytest.approx(0.5)
    assert Axis("dropout", 0.0, 0.5).position(0.1) == pytest.approx(0.2)
    assert Axis("activation", choices=("relu", "tanh")).position("tanh") == pytest.approx(0.75)
    assert Axis("activation", choices=("relu",)).position("gone") is None
    assert Axis("lr", 1e-4, 1.0).position(math.inf) is None
    assert Axis("lr", 1e-4, 1.0).position(None) is None


def test_picture_of_a_large_study_draws_a_part_and_the_best() -> None:
    points = tuple(Point(number, HEALTHY, (number * 7919 % 5000) / 5000, {}) for number in range(5000))
    picture = StudyPicture("large", (), points)
    drawn = {point.number for point in picture.drawn}
    assert MOST_DRAWN * 0.9 <= len(drawn) <= MOST_DRAWN + 10
    assert {point.number for point in picture.ranked[:10]} <= drawn
    assert picture.remark == f"{len(drawn)} of 5,000 trials are drawn"
    assert picture.count(HEALTHY) == 5000
    assert replace(picture, goal=Objective("val_loss", "minimize")).ranked[0].value == 0.0


def test_picture_of_a_small_study_draws_all(picture: StudyPicture) -> None:
    assert picture.drawn == picture.points and picture.remark == ""


def test_slices_of_a_loss_have_trials_without_a_value_above_the_worst() -> None:
    points = tuple(Point(n, HEALTHY, value, {"lr": 0.1}) for n, value in enumerate((0.5, 1.5, None)))
    axis = Axis("lr", 0.01, 1.0, log=True)
    for goal, beyond in ((Objective("val_loss", "minimize"), 1.8), (Objective(), 0.2)):
        (axes,) = slice_of(StudyPicture("s", (axis,), points, goal=goal), axis).axes
        heights = sorted(y for marks in axes.collections for _, y in np.asarray(marks.get_offsets()).tolist())
        outside = [y for y in heights if not 0.5 <= y <= 1.5]
        assert len(heights) == 3 and outside == [pytest.approx(beyond, abs=0.15)]
        low, high = axes.get_ylim()
        assert low < min(heights) and max(heights) < high
        assert axes.get_ylabel() == goal.label
