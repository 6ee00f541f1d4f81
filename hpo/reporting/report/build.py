"""A study's report as text, whoever made the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpo.errors import UnknownStudyError
from hpo.reporting.figures.points import StudyPicture
from hpo.reporting.report.blocks import Report
from hpo.reporting.report.data import read_material
from hpo.reporting.report.optuna_study import picture_of_history, report_of_history
from hpo.reporting.report.pictures import Draw, drawers
from hpo.reporting.report.render import to_html, to_markdown
from hpo.reporting.report.sections import report_of
from hpo.storage.optuna.foreign import optuna_history
from hpo.storage.schema import inspect_schema
from hpo.storage.studies import results_engine

Format = Literal["html", "md"]


@dataclass(frozen=True)
class Made:
    """A report's text, and the pictures that belong beside it by their file names."""

    text: str
    pictures: dict[str, str]


def make_report(url: str, study: str, form: Format = "html", folder: str = "") -> Made:
    """The report on a study as HTML, or as Markdown whose pictures are in ``folder`` (empty for none).

    Reads only. Raises ``UnknownStudyError``, and ``StorageError`` if the database is unusable.
    """
    report, picture, draws = _report(url, study)
    if form == "html":
        return Made(to_html(report, picture, draws), {})
    return Made(*to_markdown(report, draws, folder))


def _report(url: str, study: str) -> tuple[Report, StudyPicture, dict[str, Draw]]:
    """Of hpo's own studies first: Optuna's tables have them too."""
    if not inspect_schema(url).is_optunas_alone:
        try:
            return _of_ours(url, study)
        except UnknownStudyError:
            pass
    history = optuna_history(url, study)
    picture = picture_of_history(history)
    return report_of_history(history, picture), picture, drawers(picture, None)


def _of_ours(url: str, study: str) -> tuple[Report, StudyPicture, dict[str, Draw]]:
    engine = results_engine(url)
    try:
        material = read_material(engine, study)
    finally:
        engine.dispose()
    pictures = drawers(material.picture, material.best, material.examples.values())
    return report_of(material), material.picture, pictures
