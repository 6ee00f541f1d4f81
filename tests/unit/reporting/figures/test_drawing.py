"""Every figure of a study from a database: its contents, and its SVG in a page."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.scale import SymmetricalLogTransform
from PIL import Image
from sqlalchemy import Engine

from hpo.queries.trial import TrialDetail, trial_detail
from hpo.reporting.figures import interactive, study, trial
from hpo.reporting.figures.activations import symmetric_ticks
from hpo.reporting.figures.canvas import css, to_png, to_svg, to_svg_file
from hpo.reporting.figures.points import Axis, Point, StudyPicture
from hpo.reporting.figures.style import DARK, LIGHT, Theme


@pytest.fixture(scope="module")
def best(watched: Engine, picture: StudyPicture) -> TrialDetail:
    return trial_detail(watched, "watched", picture.ranked[0].number)


@pytest.fixture(scope="module")
def curves_svg(picture: StudyPicture) -> str:
    return to_svg(study.curves_by_verdict(picture), "curves", 'curves of "watched"', picture.tips)


def test_svg_uses_css_variables_for_all_colors(curves_svg: str) -> None:
    assert "var(--healthy)" in curves_svg and "var(--ink)" in curves_svg
    assert set(re.findall(r"#[0-9a-f]{6}", curves_svg)) == set()
    assert set(re.findall(r"var\(--(\w+)\)", curves_svg)) <= set(LIGHT.variables)


def test_svg_marks_link_to_their_trials_with_tooltips(curves_svg: str, picture: StudyPicture) -> None:
    best = picture.ranked[0]
    assert f'<a xlink:href="#trial-{best.number}"' in curves_svg
    assert f"<title>trial {best.number}, {best.value:.4f}\nhealthy\nlr " in curves_svg
    numbers = set(map(int, re.findall(r'<a xlink:href="#trial-(\d+)"', curves_svg)))
    assert numbers == {point.number for point in picture.points if point.curve}


def test_svg_is_well_formed_and_its_ids_have_a_prefix(curves_svg: str) -> None:
    root = ET.fromstring(curves_svg)
    assert root.get("aria-label") == 'curves of "watched"' and root.get("width") is None
    ids = {each.get("id", "") for each in root.iter()} - {""}
    assert len(ids) > 3 and all(each.startswith("curves-") for each in ids)
    references = re.findall(r"url\(#([^)]+)\)", curves_svg)
    assert references and set(references) <= ids


def test_svg_is_reproducible(picture: StudyPicture) -> None:
    axis = picture.axes[0]
    assert to_svg(study.slice_of(picture, axis), "x", "x") == to_svg(study.slice_of(picture, axis), "x", "x")


def test_svg_file_has_the_colors_of_both_themes(best: TrialDetail) -> None:
    text = to_svg_file(trial.trial_curves(best), "a trial")
    assert css() in text and LIGHT.valid in text and DARK.valid in text
    ET.fromstring(text)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_png_has_the_background_of_its_theme(theme: Theme, best: TrialDetail) -> None:
    pixels = np.array(Image.open(io.BytesIO(to_png(trial.layer_health(best, theme), theme))).convert("RGB"))
    ground = tuple(int(theme.surface[i : i + 2], 16) for i in (1, 3, 5))
    assert tuple(pixels[0, 0]) == ground
    share = (pixels == ground).all(-1).mean()
    assert 0.5 < share < 0.98


def test_trial_curves_mark_first_loss_and_stop_limit(
    watched: Engine, picture: StudyPicture, best: TrialDetail
) -> None:
    assert trial.first_loss(best) == 2.31
    assert trial.stop_limit(best) == pytest.approx(3 * 2.31)
    exploded = next(point.number for point in picture.points if point.cause == "lr_too_high")
    detail = trial_detail(watched, "watched", exploded)
    assert trial.stop_limit(detail) == 6.93
    text = to_svg(trial.trial_curves(detail), "t", "t")
    assert ">first loss 2.31<" in text and ">stop limit 6.93<" in text and ">no completed epoch<" in text


@pytest.mark.parametrize(
    ("panel", "metrics"),
    [
        (0, {"train_loss": -3.5, "val_loss": -2.0}),
        (0, {"train_loss": 0.5, "val_loss": -2.0}),
        (1, {"train_accuracy": 95.5, "val_accuracy": 93.0}),
        (1, {"train_accuracy": 0.955, "val_accuracy": 93.0}),
    ],
)
def test_trial_curves_show_any_number_that_was_reported(
    best: TrialDetail, panel: int, metrics: dict[str, Any]
) -> None:
    curve = tuple(replace(each, **metrics) for each in best.curve)
    low, high = trial.trial_curves(replace(best, curve=curve)).axes[panel].get_ylim()
    assert all(low < value < high for value in metrics.values())


def test_trial_curves_shorten_a_long_verdict(watched: Engine, picture: StudyPicture) -> None:
    point = next(each for each in picture.points if each.cause == "lr_too_high")
    detail = trial_detail(watched, "watched", point.number)
    for verdict, whole in (("word " * 100, False), ("word " * 5, True)):
        losses = trial.trial_curves(replace(detail, curve=(), verdict=verdict)).axes[0]
        texts = [text.get_text() for text in losses.texts]
        (shown,) = [text for text in texts if text.startswith("no completed epoch")]
        assert len(shown.splitlines()) <= 4
        assert shown.endswith("word" if whole else "word …")


def test_slices_of_log_hyperparameters_have_log_axes(picture: StudyPicture) -> None:
    lr, activation, *_ = picture.axes
    (axes,) = study.slice_of(picture, lr).axes
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "lr (log scale)"
    (axes,) = study.failures_over(picture, lr).axes
    assert axes.get_xscale() == "log"
    (axes,) = study.slice_of(picture, activation).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["relu", "tanh", "sigmoid"]
    assert study.failure_axis(picture) == lr


def test_parallel_draws_a_line_per_trial(picture: StudyPicture) -> None:
    (axes,) = study.parallel(picture).axes
    lines = [line for line in axes.lines if line.get_url()]
    assert len(lines) == 24
    best = next(line for line in lines if line.get_url() == f"#trial-{picture.ranked[0].number}")
    assert best.get_ydata()[-1] == pytest.approx(1.0)  # type: ignore[index]
    assert best.get_linewidth() > 2


def test_odd_choices_are_drawn_as_text(picture: StudyPicture) -> None:
    odd = Axis("$x_1$", choices=("🦊", "<b>", "漢字"))
    point = Point(0, "made_up", 0.5, {"$x_1$": "🦊"}, [(1, 0.5)])
    drawn = StudyPicture("<script>", (odd,), (point,))
    text = to_svg(study.slice_of(drawn, odd), "odd", "<script>", {0: "</title><script>"})
    root = ET.fromstring(text)
    shown = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"$x_1$", "🦊", "<b>", "漢字"} <= shown and "<script>" not in text
    to_png(study.parallel(drawn))


def test_study_without_trials_is_drawn() -> None:
    empty = StudyPicture("empty", (Axis("lr", 1e-3, 1.0, log=True),), ())
    for figure in (
        study.curves_by_verdict(empty),
        study.parallel(empty),
        study.slice_of(empty, empty.axes[0]),
    ):
        assert to_svg(figure, "empty", "empty").startswith("<svg ")
    assert interactive.curves_plot(empty).data == ()


def test_drawing_keeps_the_settings_of_matplotlib(picture: StudyPicture) -> None:
    before = dict(mpl.rcParams)
    study.parallel(picture)
    assert dict(mpl.rcParams) == before


def test_interactive_plots_use_plain_numbers(picture: StudyPicture, best: TrialDetail) -> None:
    curves = interactive.curves_plot(picture)
    healthy = curves.data[0]
    assert (
        healthy.name == f"healthy ({picture.count('healthy')})"
        and healthy.line.color == LIGHT.families["healthy"]
    )
    assert healthy.x[:5] == (1, 2, 3, 4, None)
    failures = interactive.failures_plot(picture, picture.axes[0])
    assert failures.layout.xaxis.type == "log" and failures.layout.xaxis.range == (-3, 1)
    assert failures.data[1].marker.color == LIGHT.families["hot"]
    assert not any(trace.cliponaxis for trace in failures.data), "marks at the ends of the range are whole"
    layers = interactive.layers_plot(best)
    assert [trace.name for trace in layers.data][
        -1
    ] == "head.classifier" and layers.layout.yaxis.type == "log"
    for figure in (curves, failures, layers):
        assert "bdata" not in figure.to_json(), "older plotly.js cannot read packed arrays"


def test_histograms_cover_their_activations(best: TrialDetail) -> None:
    plain = trial.layer_health(best)
    assert len(plain.axes) == 3
    layers = tuple(
        replace(each, low=-2.0, high=6.0, counts=(4, 0, 0, 16)) if each.position < 2 else each
        for each in best.layers
    )
    figure = trial.layer_health(replace(best, layers=layers))
    titles = [axes.get_title(loc="left") for axes in figure.axes[3:]]
    assert titles == ["stage1.conv1", "stage2.conv2", "head.classifier"]
    steps = {each.step for each in layers}
    first, _, classifier = figure.axes[3:]
    assert len(first.patches) == len(steps) > 1
    assert not classifier.patches
    for place, drawn in enumerate(first.patches):
        outline = np.asarray(drawn.get_path().vertices)
        assert (outline[:, 1].min(), outline[:, 1].max()) == (-2.0, 6.0)
        assert outline[:, 0].min() == place
        # The fullest bin is the highest: 4 to 6; a quarter as many are half as wide.
        widths = {y: outline[outline[:, 1] == y][:, 0].max() - place for y in (-2.0, 6.0)}
        assert widths[6.0] == pytest.approx(2 * widths[-2.0]) and widths[6.0] < 1


def test_histograms_of_growing_range_use_a_symlog_scale(best: TrialDetail) -> None:
    grown = tuple(replace(each, low=-float(each.step**3), high=0.0, counts=(1, 2)) for each in best.layers)
    axes = trial.layer_health(replace(best, layers=grown)).axes[3]
    assert axes.get_yscale() == "symlog"
    same = tuple(replace(each, low=0.0, high=0.0, counts=(2048, 0)) for each in best.layers)
    axes = trial.layer_health(replace(best, layers=same)).axes[3]
    assert axes.get_yscale() == "linear"
    assert len(axes.lines) > 1
    assert all(np.array_equal(line.get_ydata(), [0.0, 0.0]) for line in axes.lines[:-1])


def test_svg_coordinates_have_at_most_two_decimals(curves_svg: str) -> None:
    places = re.findall(r' (?:d|x|y)="([^"]*)"', curves_svg)
    assert len(places) > 10 and not any(re.search(r"\.\d{3}", each) for each in places)


@pytest.mark.parametrize(
    ("linear", "most"), [(1e-9, 3.0), (1e-3, 1.0), (0.02, 1.0), (1e-20, 50.0), (1.0, 1e12), (0.3, 11.0)]
)
def test_symmetric_ticks_do_not_overlap(linear: float, most: float) -> None:
    ticks = symmetric_ticks(linear, most)
    assert 0.0 in ticks and ticks == sorted(ticks) and 5 <= len(ticks) <= 7
    places = SymmetricalLogTransform(10, linear, 1).transform(np.array([-most, *ticks, most]))
    assert np.diff(places[1:-1]).min() > 0.1 * (places[-1] - places[0])
