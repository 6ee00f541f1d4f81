"""The dashboard in a real browser: log in by the link, read, and fail to delete."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import pytest

from tests.helpers import forked

pytestmark = pytest.mark.slow
NAME = "<img src=x onerror=alert(1)> ../ 🚀"


@dataclass
class Visit:
    """A page of a browser, with the errors on it."""

    page: Any
    link: str
    problems: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{urlsplit(self.link).netloc}"


@pytest.fixture(scope="module")
def url(watched_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of hpo, one with an odd name and a running trial, and one of many trials."""
    path = tmp_path_factory.mktemp("pages") / "d.db"
    shutil.copy(watched_path, path)
    url = f"sqlite:///{path}"
    study = optuna.create_study(storage=url, study_name=NAME, direction="maximize")
    for value in (0.5, None):
        trial = study.ask({"lr": optuna.distributions.FloatDistribution(1e-4, 1, log=True)})
        for step in (1, 2, 3):
            trial.report(0.1 * step, step)
        if value is not None:
            study.tell(trial, value)
    many = optuna.create_study(storage=url, study_name="many")
    lr: dict[str, optuna.distributions.BaseDistribution] = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1, log=True)
    }
    many.add_trials(
        optuna.trial.create_trial(
            value=place, params={"lr": 0.5**place}, distributions=lr, intermediate_values={1: 0.5}
        )
        for place in [0.1 * each for each in range(120)]
    )
    return url


@pytest.fixture(scope="module")
def link(url: str) -> Iterator[str]:
    """What `hpo dashboard` prints."""
    command = ["-m", "hpo", "dashboard", "--storage", url, "--port", "0"]
    with forked.ForkedPython(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130)


@pytest.fixture
def visit(browser: Any, link: str) -> Iterator[Visit]:
    """A fresh browser profile."""
    context = browser.new_context()
    visit = Visit(context.new_page(), link)
    visit.page.on("pageerror", lambda error: visit.problems.append(str(error)))
    visit.page.on(
        "console", lambda message: visit.problems.extend([message.text] if message.type == "error" else [])
    )
    visit.page.on("dialog", lambda dialog: visit.problems.append(f"a script ran: {dialog.message}"))
    yield visit
    context.close()


def test_page_without_token_shows_a_form_and_no_data(visit: Visit) -> None:
    answer = visit.page.goto(f"{visit.origin}/dashboard/studies/1")
    assert answer.status == 401
    assert "🚀" not in visit.page.content()
    visit.page.get_by_label("Token").fill("not the token")
    visit.page.keyboard.press("Enter")
    visit.page.get_by_text("This is not the token of this dashboard.").wait_for()
    assert visit.page.request.get(f"{visit.origin}/api/studies").status == 401


def test_link_logs_in_and_a_study_shows_its_curves(visit: Visit) -> None:
    visit.page.goto(visit.link)
    assert visit.page.url == f"{visit.origin}/dashboard/"  # the token is gone
    visit.page.get_by_text("🚀").first.click()
    visit.page.locator("#graph-intermediate-values .scatterlayer .trace").nth(1).wait_for(state="attached")
    assert visit.page.get_by_text(NAME).first.is_visible()
    visit.page.goto(f"{visit.origin}/dashboard/studies/2/analytics")
    visit.page.locator("canvas, svg.main-svg").first.wait_for()
    assert visit.problems == []


def test_study_page_shows_note_and_plots(visit: Visit) -> None:
    visit.page.goto(visit.link)
    visit.page.goto(f"{visit.origin}/dashboard/studies/1")
    for name in ("hpo-curves", "hpo-failures", "hpo-layers"):
        plot = visit.page.locator(f"[id='user-defined-plot:{name}'] .scatterlayer .trace").first
        plot.wait_for(state="attached")
    visit.page.goto(f"{visit.origin}/dashboard/studies/1/note")
    visit.page.get_by_role("heading", name="Problems").wait_for()
    visit.page.get_by_role("cell", name="learning rate too high").wait_for()
    assert visit.problems == []


def test_trial_page_shows_verdict_and_pictures(visit: Visit) -> None:
    visit.page.goto(visit.link)
    visit.page.goto(f"{visit.origin}/dashboard/studies/1/trials?numbers=5")
    visit.page.get_by_text("<script>alert(1)</script>").first.wait_for()
    for name in ("curves.png", "layers.png"):
        picture = visit.page.get_by_alt_text(name).first
        picture.wait_for()
        visit.page.wait_for_function("one => one.complete", arg=picture.element_handle())
        assert picture.evaluate("one => one.naturalWidth") > 500
    assert visit.problems == []


def test_large_study_draws_only_what_is_visible(visit: Visit) -> None:
    visit.page.goto(visit.link)
    visit.page.goto(f"{visit.origin}/dashboard/studies/3")
    timeline = visit.page.locator("#graph-timeline")
    count = "timeline => timeline.querySelectorAll('.barlayer .point').length"
    timeline.locator(".barlayer .point").first.wait_for(state="attached")
    assert timeline.evaluate(count) == 100
    timeline.hover()
    timeline.locator("[data-title='Autoscale']").click()
    visit.page.wait_for_function(f"timeline => ({count})(timeline) === 120", arg=timeline.element_handle())
    lines = visit.page.locator("#graph-intermediate-values")
    drawn = lines.evaluate("plot => [plot.data.length, plot.data.every(trace => trace.x.length > 0)]")
    assert drawn == [30, True]
    assert visit.problems == []


def test_page_requests_its_study_once(visit: Visit) -> None:
    """Preloaded before the script runs: an address that differs in a letter would be requested twice."""
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    visit.page.goto(visit.link)
    asked.clear()
    visit.page.goto(f"{visit.origin}/dashboard/studies/1")
    visit.page.locator("[id='user-defined-plot:hpo-curves'] .main-svg").first.wait_for()
    assert asked.count("/api/studies/1") == 1
    assert asked.index("/api/studies/1") < asked.index(
        next(each for each in asked if each.endswith("bundle.js"))
    )


def test_delete_is_refused(visit: Visit) -> None:
    visit.page.goto(visit.link)
    visit.page.get_by_text("🚀").first.wait_for()
    answer = visit.page.evaluate(
        "fetch('/api/studies/1', {method: 'DELETE', body: '{}'}).then(async r => [r.status, await r.text()])"
    )
    assert answer[0] == 403
    assert "read-only" in answer[1]
    assert visit.page.request.get(f"{visit.origin}/api/studies/1").status == 200
