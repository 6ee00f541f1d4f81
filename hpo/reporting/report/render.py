"""Render a report as one self-contained HTML file (no external requests), or as Markdown with pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hpo.config.fields import HYPERPARAMETERS
from hpo.reporting.figures.canvas import css
from hpo.reporting.figures.points import StudyPicture
from hpo.reporting.report.blocks import Picture, Report
from hpo.reporting.report.pictures import Draw, as_file, inline
from hpo.text import markdown, printable

_TEMPLATES = Path(__file__).parent / "templates"


def to_html(report: Report, picture: StudyPicture, drawers: Mapping[str, Draw]) -> str:
    """Return the page, with every text escaped and every picture inline."""
    report = report.with_only(frozenset(drawers))
    figures = {
        each.name: Markup(inline(drawers[each.name], each.name, each.caption, picture))
        for each in _pictures(report)
    }
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    template = _environment(autoescape=True).get_template("report.html.j2")
    return template.render(report=report, figures=figures, style=Markup(css() + "\n" + style))


def to_markdown(report: Report, drawers: Mapping[str, Draw], folder: str) -> tuple[str, dict[str, str]]:
    """Return the text and its pictures by file name; the text links to them in ``folder``.

    An empty ``folder`` leaves out the pictures.
    """
    report = report.with_only(frozenset(drawers) if folder else frozenset())
    files = {f"{each.name}.svg": as_file(drawers[each.name], each.caption) for each in _pictures(report)}
    text = (
        _environment(autoescape=False)
        .get_template("report.md.j2")
        .render(report=report, folder=quote(folder))
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", files


def sentence(text: str) -> str:
    """Capitalize the first letter, unless the text starts with a hyperparameter's name."""
    is_name = re.split(r"[ ,:]", text, maxsplit=1)[0] in HYPERPARAMETERS
    return text if is_name else text[:1].upper() + text[1:]


def _pictures(report: Report) -> list[Picture]:
    return [block for section in report.sections for block in section.blocks if isinstance(block, Picture)]


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters["sentence"] = sentence
    environment.filters["md"] = markdown
    return environment


def _clean(value: Any) -> Any:
    """Escape control characters: texts of a database must not reach the page raw."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
