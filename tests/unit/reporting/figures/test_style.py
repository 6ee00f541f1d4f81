from __future__ import annotations

import colorsys

import pytest

from hpo.checks.causes import CAUSES, OUTCOMES
from hpo.reporting.figures.style import (
    DARK,
    FAMILIES,
    FAMILY_OF,
    LIGHT,
    RUNNING,
    STOPPED_EARLY,
    Theme,
    cause_label,
    marker,
    plotly_marker,
)

# How colors appear with each kind of color blindness (full strength), in linear RGB: H. Machado, M. Oliveira,
# L. Fernandes, IEEE Transactions on Visualization and Computer Graphics 15(6), 2009, table 1.
_BLINDNESS = {
    "protanopia": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.01182, 0.04294, 0.968881),
    ],
    "tritanopia": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.3039),
    ],
}


def _linear(color: str) -> list[float]:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _lab(linear: list[float]) -> tuple[float, float, float]:
    r, g, b = (min(1.0, max(0.0, part)) for part in linear)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _luminance(color: str) -> float:
    r, g, b = _linear(color)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_family_of_covers_exactly_the_causes() -> None:
    assert set(FAMILY_OF) == {*CAUSES, *OUTCOMES, RUNNING, STOPPED_EARLY}
    assert set(FAMILY_OF.values()) == set(FAMILIES)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_theme_has_enough_contrast(theme: Theme) -> None:
    """WCAG 2.1: 3 to 1 for what carries meaning (1.4.11), 4.5 to 1 for text (1.4.3)."""
    marks = [*theme.families.values(), theme.train, theme.valid, theme.alarm]
    assert min(_contrast(color, theme.surface) for color in marks) >= 3.0
    assert min(_contrast(color, theme.surface) for color in (theme.ink, theme.muted, theme.alarm)) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("blindness", _BLINDNESS)
def test_theme_families_differ_for_the_color_blind(theme: Theme, blindness: str) -> None:
    """CIE76: 2.3 is just noticeable side by side; marks apart on a page need several times that."""
    seen = {
        name: _lab(
            [sum(m * c for m, c in zip(row, _linear(color), strict=True)) for row in _BLINDNESS[blindness]]
        )
        for name, color in theme.families.items()
    }
    apart = {
        (one, other): sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        for one in seen
        for other in seen
        if one < other
    }
    assert min(apart.values()) > 12, min(apart, key=lambda pair: apart[pair])


def test_marker_differs_among_causes_of_one_color() -> None:
    assert len(FAMILIES) == 8
    for family in FAMILIES:
        alike = [cause for cause, name in FAMILY_OF.items() if name == family]
        assert 0 < len({marker(cause) for cause in alike}) == len(alike)
        assert len({plotly_marker(cause) for cause in alike}) == len(alike)


def test_theme_colors_are_unique() -> None:
    """CSS variables replace colors by their value."""
    for theme in (LIGHT, DARK):
        assert len(set(theme.variables.values())) == len(theme.variables)
        assert all(color == color.lower() and len(color) == 7 for color in theme.variables.values())


def test_themes_have_the_same_hues() -> None:
    for family in FAMILIES.values():
        light, dark = (colorsys.rgb_to_hsv(*_linear(each)) for each in (family.light, family.dark))
        if light[1] > 0.4 and dark[1] > 0.3:
            assert min(abs(light[0] - dark[0]), 1 - abs(light[0] - dark[0])) < 0.06, family.label


def test_cause_label_of_an_unknown_cause() -> None:
    assert cause_label("lr_too_high") == "learning rate too high"
    assert cause_label("made_up") == "made up"
