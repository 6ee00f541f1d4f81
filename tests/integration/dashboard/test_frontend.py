"""The page and the script that a browser gets, compared with those of optuna-dashboard."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna_dashboard
import pytest

from hpo.reporting.dashboard import frontend
from hpo.reporting.dashboard.app import Access, make_app

BUNDLE = Path(optuna_dashboard.__file__).parent / "public" / "bundle.js"
PLOTS = '"graph-timeline" "graph-intermediate-values"'


@pytest.fixture(scope="module")
def app(url: str) -> Any:
    return make_app(url, Access())


def script_address(html: bytes) -> str:
    """Return the address of the page's script."""
    (found,) = re.findall(r'<script defer src="([^"]+)"', html.decode())
    return str(found)


def test_patch_recognizes_the_installed_script() -> None:
    bundle = BUNDLE.read_text(encoding="utf-8")
    text = frontend.patch(bundle)
    assert text is not None, (
        "optuna-dashboard's script has changed: hpo now serves it unchanged, and large studies load slowly. "
        "Find how the new script gets plotly, and adapt hpo.reporting.dashboard.frontend.patch"
    )
    place = re.search(r"\bvar (\w+)=hpoPlotly\(\w+\(\d+\)\);", text)
    assert place is not None
    assert set(re.findall(r"(\w+)\.react\(", text[place.end() :])) == {place[1]}
    for plot in frontend.PLOTS:
        assert f'"{plot}":' in text[: text.index(bundle[:100])], "plots.js changes this plot"


@pytest.mark.parametrize("module", ["758", "12"])
def test_patch_finds_plotly_under_any_module_number(module: str) -> None:
    text = frontend.patch(f"{PLOTS};var $a=i({module});$a.react(x,y)")
    assert text is not None and text.endswith(f"{PLOTS};var $a=hpoPlotly(i({module}));$a.react(x,y)")


@pytest.mark.parametrize(
    "bundle",
    [
        f"{PLOTS};var a=n(7);",
        f"{PLOTS};var a=n(7);var b=n(7);a.react(x);b.react(x)",
        f"{PLOTS};var a=n(7);var a=n(8);a.react(x)",
        f"{PLOTS};let a=n(7);a.react(x)",
        '"graph-timeline";var a=n(7);a.react(x)',
    ],
)
def test_patch_of_an_unknown_script_returns_none(bundle: str) -> None:
    assert frontend.patch(bundle) is None


def test_script_may_be_cached_and_has_an_address_per_version(app: Any, ask: Callable[..., Any]) -> None:
    where = script_address(ask(app, "/dashboard/").body)
    script = ask(app, where)
    assert script.status == 200
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in script.headers["Cache-Control"]
    assert script.body.endswith(BUNDLE.read_bytes()[-1000:]) and b"hpoPlotly(" in script.body
    assert ask(app, where, HTTP_ACCEPT_ENCODING="").body == script.body
    assert ask(app, where.replace("/v-", "/v-0")).status == 404
    assert ask(app, "/static/bundle.js").body == BUNDLE.read_bytes()


@pytest.mark.parametrize(
    ("path", "requests"),
    [
        ("/dashboard/studies/12", ["/api/studies/12?after=0", "/api/studies/12/param_importances"]),
        ("/dashboard/studies/12/trials", ["/api/studies/12?after=0"]),
        ("/dashboard/", []),
        ('/dashboard/studies/12"><script>', []),
        ("/dashboard/compare-studies", []),
    ],
)
def test_page_preloads_its_own_study_only(
    app: Any, ask: Callable[..., Any], path: str, requests: list[str]
) -> None:
    html = ask(app, path).body.decode()
    assert re.findall(r'rel="preload"[^>]* href="([^"]+)"', html) == requests


@pytest.fixture
def unknown_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An optuna-dashboard whose script cannot be patched."""
    monkeypatch.setattr(frontend, "patch", lambda bundle: None)
    frontend.patched_script.cache_clear()
    yield
    frontend.patched_script.cache_clear()


@pytest.mark.usefixtures("unknown_script")
def test_unknown_script_is_served_unchanged_with_one_warning(
    app: Any, ask: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert script_address(ask(app, "/dashboard/studies/1").body) == "/static/bundle.js"
            assert ask(app, "/static/bundle.js").body == BUNDLE.read_bytes()
    (record,) = caplog.records
    assert "is not one that hpo knows: it is served unchanged" in record.getMessage()
