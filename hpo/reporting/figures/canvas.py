"""Convert Matplotlib figures to PNG, SVG elements and SVG files."""

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

from hpo.reporting.figures.style import DARK, LIGHT, RC, Theme, colors_of

_PNG_DPI = 160
_PROLOGUE = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*")
_PLACES = re.compile(r'(?<= d=")[^"]+|(?<= [xy]=")[^"]+')
_DIGITS = re.compile(r"(\.\d\d)\d+")
# Matplotlib makes each link open a new window.
_LINK = re.compile(r'(<a xlink:href="#trial-(\d+)")[^>]*>')
_NAMES = (
    (re.compile(r'\bid="([^"]+)"'), 'id="{}-'),
    (re.compile(r"url\(#([^)]+)\)"), "url(#{}-"),
    (re.compile(r'<use xlink:href="#([^"]+)"'), '<use xlink:href="#{}-'),
)


@contextmanager
def drawing(theme: Theme = LIGHT) -> Iterator[None]:
    """Let Matplotlib draw in the style of hpo. Not for two threads: its settings are global."""
    settings: Any = RC | colors_of(theme)
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Names in other scripts: SVG keeps the text, and the reader's fonts have the glyphs.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


def to_png(figure: Figure, theme: Theme = LIGHT) -> bytes:
    """Return the figure as a PNG on the theme's background."""
    buffer = io.BytesIO()
    with drawing(theme):
        figure.savefig(buffer, format="png", dpi=_PNG_DPI, facecolor=theme.surface)
    return buffer.getvalue()


def to_svg(figure: Figure, name: str, label: str, tips: Mapping[int, str] | None = None) -> str:
    """Return the figure in light colors as an ``<svg>`` element for a page with the variables of ``css``.

    ``name`` is a prefix that keeps ids unique in the page, ``label`` describes the figure to screen readers,
    ``tips`` are the tooltips of marks that link to ``#trial-NUMBER``.
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
    for variable, color in LIGHT.variables.items():
        svg = svg.replace(color, f"var(--{variable})")
    svg = _FONT.sub(lambda found: f"font-size: {found[2]}px; font-weight: {found[1] or 'normal'}", svg)
    svg = _LINK.sub(lambda found: found[1] + ">" + _tip((tips or {}).get(int(found[2]))), svg)
    opening, rest = svg.split(">", 1)
    return f'{_fluid(opening)} role="img" aria-label="{html.escape(label)}">{rest}'


def to_svg_file(figure: Figure, label: str) -> str:
    """Return the figure as an SVG file that follows the reader's light or dark theme."""
    opening, rest = to_svg(figure, "figure", label).split(">", 1)
    ground = "svg { background: var(--surface); font-family: system-ui, sans-serif }"
    return f"{opening}><style>{css()} {ground}</style>{rest}"


def css() -> str:
    """Return the colors as CSS variables, with dark ones for readers who prefer them."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_rules(DARK)} }} }}"
    return f":root {{ {_rules(LIGHT)} }} {dark}"


def _rules(theme: Theme) -> str:
    return " ".join(f"--{name}: {color};" for name, color in theme.variables.items())


def _in_hundredths(found: re.Match[str]) -> str:
    """Round to a hundredth of a point: more is not visible, and pages get smaller."""
    return _DIGITS.sub(r"\1", found.group())


def _renamed(before: str, found: re.Match[str]) -> str:
    """Return the match with ``before`` in place of the text before the id."""
    return before + found.group()[found.start(1) - found.start() :]


def _fluid(opening: str) -> str:
    """Return the opening tag without a fixed size: the page sets the width."""
    width = re.search(r'\bviewBox="0 0 ([\d.]+)', opening)
    assert width is not None, "matplotlib writes a viewBox"
    without = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", opening)
    return f'{without} style="--width: {float(width[1]) * 4 / 3:.0f}px"'


def _tip(text: str | None) -> str:
    return f"<title>{html.escape(text)}</title>" if text else ""
