"""From a matplotlib figure to a file, or to a piece of a page."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from hpo.reporting.figures.style import DARK, LIGHT, RC, Theme, colours_of

_PNG_DPI = 160
_PROLOGUE = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*")
_PLACES = re.compile(r'(?<= d=")[^"]+|(?<= [xy]=")[^"]+')
_DIGITS = re.compile(r"(\.\d\d)\d+")
# Matplotlib would open each link in a new window.
_LINK = re.compile(r'(<a xlink:href="#trial-(\d+)")[^>]*>')
_NAMES = (
    (re.compile(r'\bid="([^"]+)"'), 'id="{}-'),
    (re.compile(r"url\(#([^)]+)\)"), "url(#{}-"),
    (re.compile(r'<use xlink:href="#([^"]+)"'), '<use xlink:href="#{}-'),
)


@contextmanager
def drawing(theme: Theme = LIGHT) -> Iterator[None]:
    """Within it matplotlib draws in the house's style; not for two threads: its settings are global."""
    settings: Any = RC | colours_of(theme)
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Of names in other scripts: text stays text in an SVG, whose reader has fonts of its own.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


def to_png(figure: Figure, theme: Theme = LIGHT) -> bytes:
    """The figure as a PNG on the theme's ground."""
    buffer = io.BytesIO()
    with drawing(theme):
        figure.savefig(buffer, format="png", dpi=_PNG_DPI, facecolor=theme.surface)
    return buffer.getvalue()


def to_svg(figure: Figure, name: str, label: str, tips: Mapping[int, str] | None = None) -> str:
    """The figure, drawn in light, as an ``<svg>`` element for a page that has the variables of ``css``.

    ``name`` sets its ids apart from those of the page's other figures, ``label`` says to a screen reader what
    it shows, ``tips`` are shown for the trials whose marks link to ``#trial-NUMBER``.
    """
    buffer = io.StringIO()
    with drawing(LIGHT):
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    svg = _METADATA.sub("", _PROLOGUE.sub("", buffer.getvalue()))
    svg = _PLACES.sub(_in_hundredths, svg)
    for pattern, new in _NAMES:
        svg = pattern.sub(partial(_renamed, new.format(name)), svg)
    for variable, colour in LIGHT.variables.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = _FONT.sub(lambda found: f"font-size: {found[2]}px; font-weight: {found[1] or 'normal'}", svg)
    svg = _LINK.sub(lambda found: found[1] + ">" + _tip((tips or {}).get(int(found[2]))), svg)
    opening, rest = svg.split(">", 1)
    return f'{_fluid(opening)} role="img" aria-label="{html.escape(label)}">{rest}'


def to_svg_file(figure: Figure, label: str) -> str:
    """The figure as a file of its own, which follows its reader's light or dark."""
    opening, rest = to_svg(figure, "figure", label).split(">", 1)
    ground = "svg { background: var(--surface); font-family: system-ui, sans-serif }"
    return f"{opening}><style>{css()} {ground}</style>{rest}"


def css() -> str:
    """The colours as CSS variables, dark ones where the reader prefers that."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_rules(DARK)} }} }}"
    return f":root {{ {_rules(LIGHT)} }} {dark}"


def _rules(theme: Theme) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in theme.variables.items())


def _in_hundredths(found: re.Match[str]) -> str:
    """Places to a hundredth of a point: nobody sees more, and pages get smaller."""
    return _DIGITS.sub(r"\1", found.group())


def _renamed(before: str, found: re.Match[str]) -> str:
    """What was found, with ``before`` in the place of what stands in front of the id."""
    return before + found.group()[found.start(1) - found.start() :]


def _fluid(opening: str) -> str:
    """The opening tag without a fixed size: the page says how wide it is."""
    width = re.search(r'\bviewBox="0 0 ([\d.]+)', opening)
    assert width is not None, "matplotlib writes a viewBox"
    without = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", opening)
    return f'{without} style="--width: {float(width[1]) * 4 / 3:.0f}px"'


def _tip(text: str | None) -> str:
    return f"<title>{html.escape(text)}</title>" if text else ""
