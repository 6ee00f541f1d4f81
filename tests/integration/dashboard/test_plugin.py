from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hpo.reporting.dashboard.annotations import Annotations, _Refreshed
from hpo.reporting.dashboard.app import Access, make_app

Ask = Callable[..., Any]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def app(watched_path: Path) -> Any:
    return make_app(f"sqlite:///{watched_path}", Access())


@pytest.fixture(scope="module")
def study(app: Any, ask: Ask) -> Any:
    """The study as the page gets it."""
    return json.loads(ask(app, "/api/studies/1", HTTP_HOST="localhost").body)


def names_of(trial: Any) -> list[str]:
    return [each["filename"] for each in trial["artifacts"]]


def test_plugin_writes_nothing(watched_path: Path, app: Any, ask: Ask) -> None:
    def content() -> list[str]:
        with closing(sqlite3.connect(watched_path)) as connection:
            return list(connection.iterdump())

    before = content()
    for path in ("/dashboard", "/api/studies/1", "/artifacts/1/1/c-0", "/csv/1"):
        assert ask(app, path, HTTP_HOST="localhost").status == 200
    assert content() == before


def test_study_has_a_note_and_plots(study: Any) -> None:
    assert study["note"]["body"].startswith("## watched\n\n23 trials done, 1 running")
    plots = {each["id"]: json.loads(each["graph_object"]) for each in study["plotly_graph_objects"]}
    assert list(plots) == ["hpo-curves", "hpo-failures", "hpo-layers"]
    assert plots["hpo-failures"]["layout"]["xaxis"]["type"] == "log"
    assert [trace["name"] for trace in plots["hpo-layers"]["data"]] == [
        "stage1.conv1.conv", "stage2.conv2.conv", "head.classifier",
    ]  # fmt: skip


def test_trial_has_curves_and_if_best_or_failed_layers(study: Any) -> None:
    by_number = {trial["number"]: trial for trial in study["trials"]}
    best = study["best_trials"][0]["number"]
    assert [names_of(trial)[0] for trial in study["trials"]] == 24 * ["curves.png"]
    assert names_of(by_number[best]) == ["curves.png", "layers.png"]
    assert names_of(by_number[5]) == ["curves.png", "layers.png"]  # it failed after an epoch
    assert names_of(by_number[2]) == ["curves.png"]  # nothing was wrong with it
    assert names_of(study["best_trials"][0]) == names_of(by_number[best])


def test_failed_trial_has_verdict_and_remedy_in_its_note(study: Any) -> None:
    exploded = next(trial for trial in study["trials"] if trial["note"]["body"].startswith("### learning"))
    body = exploded["note"]["body"]
    assert body.startswith("### learning rate too high (85% confidence)\n\nthe loss is 9.1 at step 30")
    assert "**Try:** lower lr to 0.3" in body
    assert f"![curves.png](/artifacts/1/{exploded['trial_id']}/c-0)" in body


def test_error_message_is_escaped_in_the_note(study: Any) -> None:
    body = study["trials"][5]["note"]["body"]
    assert r"\<script\>alert\(1\)\</script\>" in body
    assert "\x1b" not in body
    attributes = {each["key"]: each["value"] for each in study["trials"][5]["user_attrs"]}
    assert attributes["verdict"].startswith("error: ValueError: ") and len(attributes["verdict"]) <= 90


def test_pictures_are_drawn_on_request(app: Any, ask: Ask, study: Any) -> None:
    trial = study["trials"][5]
    assert len(trial["artifacts"]) == 2
    for each in trial["artifacts"]:
        path = f"/artifacts/1/{trial['trial_id']}/{each['artifact_id']}"
        answer = ask(app, path, HTTP_HOST="localhost")
        assert (answer.status, answer.headers["Content-Type"], answer.body[:8]) == (200, "image/png", PNG)
        assert ask(app, path, HTTP_HOST="localhost").body == answer.body


@pytest.mark.parametrize("path", ["1/9999/c-0", "1/1/b-0", "1/1/f-0", "1/1/c"])
def test_unknown_picture_is_404(app: Any, ask: Ask, path: str) -> None:
    assert ask(app, f"/artifacts/{path}", HTTP_HOST="localhost").status == 404


def test_plain_optuna_study_is_unchanged(url: str, ask: Ask) -> None:
    assert Annotations(url).study(1, "demo") is None
    study = json.loads(ask(make_app(url, Access()), "/api/studies/1", HTTP_HOST="localhost").body)
    assert (study["note"]["body"], study["plotly_graph_objects"], study["trials"][0]["artifacts"]) == (
        "",
        [],
        [],
    )


def test_refreshed_returns_the_old_value_during_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Callable[[], None]] = []

    def thread(target: Callable[[], None], **_: object) -> Unstarted:
        started.append(target)
        return Unstarted()

    values = iter("abc")
    refreshed = _Refreshed(lambda: next(values))
    now = [0.0]
    monkeypatch.setattr("hpo.reporting.dashboard.annotations.time.monotonic", lambda: now[0])
    monkeypatch.setattr("hpo.reporting.dashboard.annotations.Thread", thread)
    assert (refreshed.value(), refreshed.value()) == ("a", "a")
    now[0] = 5.1
    assert (refreshed.value(), refreshed.value()) == ("a", "a")
    (refresh,) = started
    refresh()
    assert refreshed.value() == "b"


class Unstarted:
    def start(self) -> None:
        return
