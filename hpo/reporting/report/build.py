"""Build the report on a study, made by hpo or by Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpo.errors import UnknownStudyError
from hpo.reporting.figures.points import StudyPicture
from hpo.reporting.report.blocks import Report
from hpo.reporting.report.data import read_report_data
from hpo.reporting.report.optuna_study import optuna_picture, optuna_report
from hpo.reporting.report.pictures import Draw, drawers
from hpo.reporting.report.render import to_html, to_markdown
from hpo.reporting.report.sections import study_report
from hpo.storage.optuna.foreign import optuna_history
from hpo.storage.schema import inspect_schema
from hpo.storage.studies import results_engine

Format = Literal["html", "md"]


@dataclass(frozen=True)
class BuiltReport:
    """A report's text, and the picture files that belong next to it by name."""

    text: str
    pictures: dict[str, str]


def make_report(url: str, study: str, form: Format = "html", folder: str = "") -> BuiltReport:
    """Return the report on a study as HTML, or as Markdown with pictures in ``folder`` (empty for none).

    Only reads the database. Raises ``UnknownStudyError``, and ``StorageError`` if the database is unusable.
    """
    report, picture, draws = _report(url, study)
    if form == "html":
        return BuiltReport(to_html(report, picture, draws), {})
    return BuiltReport(*to_markdown(report, draws, folder))


def _report(url: str, study: str) -> tuple[Report, StudyPicture, dict[str, Draw]]:
    """Look among hpo's own studies first: Optuna's tables hold them too."""
    if not inspect_schema(url).is_optunas_alone:
        try:
            return _own_report(url, study)
        except UnknownStudyError:
            pass
    history = optuna_history(url, study)
    picture = optuna_picture(history)
    return optuna_report(history, picture), picture, drawers(picture, None)


def _own_report(url: str, study: str) -> tuple[Report, StudyPicture, dict[str, Draw]]:
    engine = results_engine(url)
    try:
        data = read_report_data(engine, study)
    finally:
        engine.dispose()
    pictures = drawers(data.picture, data.best, data.examples.values(), data.tradeoffs)
    return study_report(data), data.picture, pictures
