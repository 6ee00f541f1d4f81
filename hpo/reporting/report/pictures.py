"""The pictures of a report, drawn on demand: inline in the page, or as separate files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from matplotlib.figure import Figure

from hpo.queries.tradeoffs import Tradeoffs
from hpo.queries.trial import TrialDetail
from hpo.reporting.figures import study, trial
from hpo.reporting.figures.canvas import to_svg, to_svg_file
from hpo.reporting.figures.confusion import confusion_picture
from hpo.reporting.figures.points import StudyPicture
from hpo.reporting.figures.tradeoffs import tradeoffs_picture

Draw: TypeAlias = Callable[[], Figure]


def drawers(
    picture: StudyPicture,
    best: TrialDetail | None,
    failed: Iterable[TrialDetail] = (),
    tradeoffs: Tradeoffs | None = None,
) -> dict[str, Draw]:
    """Return a function that draws each picture available for this study, by its name in the report."""
    found: dict[str, Draw] = {
        layers_picture(each.number): partial(trial.layer_health, each) for each in failed
    }
    if tradeoffs is not None and tradeoffs.points:
        found["tradeoffs"] = partial(tradeoffs_picture, tradeoffs, picture.goal)
    if best is not None and best.curve:
        found["winner"] = partial(trial.trial_curves, best)
    if best is not None and best.classes:
        found["winner-classes"] = partial(confusion_picture, best.classes)
    if best is not None and best.layers:
        found["winner-layers"] = partial(trial.layer_health, best)
    if not picture.points:
        return found
    for place, axis in enumerate(picture.axes):
        found[f"slice-{place}"] = partial(study.slice_of, picture, axis)
    if len(picture.axes) > 1:
        found["parallel"] = partial(study.parallel, picture)
    if any(point.curve for point in picture.points):
        found["curves"] = partial(study.curves_by_verdict, picture)
    along = study.failure_axis(picture)
    if along is not None:
        found["failures"] = partial(study.failures_over, picture, along)
    return found


def layers_picture(number: int) -> str:
    """Return the name of the picture of a failed trial's layers."""
    return f"trial-{number}-layers"


def inline(draw: Draw, name: str, caption: str, picture: StudyPicture) -> str:
    """Return the picture as an ``<svg>`` element whose marks link to the table of trials."""
    return to_svg(draw(), name, caption, picture.tips)


def as_file(draw: Draw, caption: str) -> str:
    """Return the picture as an SVG file."""
    return to_svg_file(draw(), caption)
