"""Access to the dashboard's /metrics, and its answer if there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.config.parsing.load import parse_study
from hpo.queue.slots import register_study
from hpo.reporting.dashboard.app import Access, make_app
from hpo.storage.store import ResultsStore
from tests.helpers.datasets import blank_dataset

TOKEN = "0123456789abcdef"
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a study of three trials, none of which has started."""
    url = f"sqlite:///{tmp_path_factory.mktemp('metrics')}/d.db"
    spec = parse_study("study: three\ntrials: 3\nspace: {lr: {log: [1e-3, 1]}}\n", "three.yaml")
    with ResultsStore(url) as store:
        register_study(store, spec, blank_dataset())
    return url


def test_metrics_require_the_token(studies: str, ask: Ask) -> None:
    app = make_app(studies, Access(TOKEN))
    assert ask(app, "/metrics").status == 401
    assert ask(app, "/metrics", HTTP_AUTHORIZATION="Bearer 0123456789abcdeX").status == 401
    answer = ask(app, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'\nhpo_trials{state="waiting",study="three"} 3.0\n' in answer.body


@pytest.mark.parametrize("writable", [False, True])
def test_metrics_never_change_the_database(studies: str, ask: Ask, writable: bool) -> None:
    app = make_app(studies, Access(writable=writable))
    local = {"HTTP_HOST": "127.0.0.1"}
    path = Path(studies.removeprefix("sqlite:///"))
    before = path.read_bytes()
    assert ask(app, "/metrics", **local).status == 200
    for method in ("POST", "PUT", "DELETE"):
        assert ask(app, "/metrics", method, **local).status == 405
    assert path.read_bytes() == before
    assert ask(app, "/metrics", HTTP_HOST="evil.example").status == 403


def test_metrics_without_hpo_tables_fail_with_a_reason(url: str, ask: Ask) -> None:
    answer = ask(make_app(url, Access()), "/metrics", HTTP_HOST="127.0.0.1")
    assert answer.status == 503
    assert b"contains Optuna's studies and none of hpo's" in answer.body
