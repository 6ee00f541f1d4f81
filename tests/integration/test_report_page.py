"""The report in a real browser, opened from disk: Chromium driven by Playwright."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.reporting.figures.style import DARK, LIGHT
from hpo.reporting.report.build import make_report
from tests.helpers.report_study import watched_study
from tests.helpers.shared_files import created_once


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = created_once(tmp_path_factory, "watched.db", watched_study)

    def write(path: Path) -> None:
        path.write_text(make_report(f"sqlite:///{study}", "watched").text, encoding="utf-8")

    return created_once(tmp_path_factory, "watched.html", write)


class _Opened:
    """A page with its requests and errors."""

    def __init__(self, browser: Any, place: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(place.as_uri(), wait_until="load")

    def color(self, selector: str, name: str) -> str:
        """Return a computed color as #rrggbb."""
        script = f"element => getComputedStyle(element).{name}"
        text: str = self.page.eval_on_selector(selector, script)
        red, green, blue = (int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))
        return f"#{red:02x}{green:02x}{blue:02x}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_report_opens_from_disk_and_is_readable(
    browser: Any, page_file: Path, scheme: str, width: int
) -> None:
    opened = _Opened(
        browser, page_file, color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True
    )
    assert opened.requests == [page_file.as_uri()] and opened.problems == []
    theme = LIGHT if scheme == "light" else DARK
    assert opened.color("h1", "color") == theme.ink
    assert opened.color("section", "backgroundColor") == theme.surface
    assert opened.color("#curves svg text", "fill") in (theme.ink, theme.muted)
    sideways = opened.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert sideways <= 0, "the page itself never scrolls sideways"
    heights = opened.page.eval_on_selector_all("figure svg", "all => all.map(each => each.clientHeight)")
    assert len(heights) >= 8 and min(heights) > 60
    opened.context.close()


def test_report_mark_leads_to_its_trial(browser: Any, page_file: Path) -> None:
    """The table is folded: the browser opens it."""
    opened = _Opened(browser, page_file)
    link = opened.page.locator("#slices svg a:has(use)").first
    target = link.get_attribute("xlink:href")
    assert not opened.page.locator(f"tr{target}").is_visible()
    link.locator("use").click()
    opened.page.locator(f"tr{target}").wait_for(state="visible", timeout=5000)
    assert opened.problems == []
    opened.context.close()


def test_report_on_paper_is_light_and_unfolded(browser: Any, page_file: Path) -> None:
    opened = _Opened(browser, page_file, color_scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.color("h1", "color") == LIGHT.ink
    assert opened.page.locator("pre").first.is_visible()
    assert opened.page.pdf().startswith(b"%PDF")
    opened.context.close()
