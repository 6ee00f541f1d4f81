"""The page and the script that a browser gets, against those that optuna-dashboard has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna_dashboard
import pytest

from hpo.reporting.dashboard import bundle as page
from hpo.reporting.dashboard.app import Access, make_app

BUNDLE = Path(optuna_dashboard.__file__).parent / "public" / "bundle.js"


@pytest.fixture(scope="module")
def app(url: str) -> Any:
    return make_app(url, Access())


def address(html: bytes) -> str:
    """Where the page has its script."""
    (found,) = re.findall(r'<script defer src="([^"]+)"', html.decode())
    return str(found)


def test_the_installed_script_has_one_place_for_ours_and_all_its_plots_go_through_it() -> None:
    """If this fails after an update of optuna-dashboard: find where its script takes plotly now."""
    bundle = BUNDLE.read_text(encoding="utf-8")
    text = page.changed(bundle)
    assert text is not None
    place = re.search(r"\bvar (\w+)=hpoPlotly\(\w+\(\d+\)\);", text)
    assert place is not None
    assert set(re.findall(r"(\w+)\.react\(", text[place.end() :])) == {place[1]}
    for plot in ("graph-timeline", "graph-intermediate-values"):
        assert f'"{plot}"' in bundle and f'"{plot}":' in text


@pytest.mark.parametrize("bundle", ["var a=n(759);", "var a=n(758);var b=n(758);"])
def test_a_script_of_another_form_stays_as_it_is(bundle: str) -> None:
    assert page.changed(bundle) is None


def test_a_browser_may_keep_the_script_and_finds_a_new_one_elsewhere(
    app: Any, ask: Callable[..., Any]
) -> None:
    where = address(ask(app, "/dashboard/").body)
    script = ask(app, where)
    assert script.status == 200
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in script.headers["Cache-Control"]
    assert script.body.decode() == page.changed(BUNDLE.read_text(encoding="utf-8"))
    assert ask(app, where, HTTP_ACCEPT_ENCODING="").body == script.body
    assert ask(app, where.replace("/v-", "/v-0")).status == 404
    assert ask(app, "/static/bundle.js").body == BUNDLE.read_bytes()


def test_a_page_asks_early_for_its_own_study_and_no_other(app: Any, ask: Callable[..., Any]) -> None:
    def asked(path: str) -> list[str]:
        return re.findall(r'rel="preload"[^>]* href="([^"]+)"', ask(app, path).body.decode())

    whole, importances = "/api/studies/12?after=0", "/api/studies/12/param_importances"
    assert asked("/dashboard/studies/12") == [whole, importances]
    assert asked("/dashboard/studies/12/trials") == [whole]
    for other in ("/dashboard/", '/dashboard/studies/12"><script>', "/dashboard/compare-studies"):
        assert asked(other) == []


def test_optuna_dashboards_own_page_is_sent_where_ours_does_not_fit(
    app: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "the_script", lambda: None)
    assert address(ask(app, "/dashboard/studies/1").body) == "/static/bundle.js"
    assert ask(app, "/static/bundle.js").body == BUNDLE.read_bytes()
