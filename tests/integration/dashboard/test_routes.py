from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from bottle import Bottle
from optuna.artifacts import FileSystemArtifactStore
from optuna_dashboard import wsgi

from hpo.reporting.dashboard.routes import NOT_SERVED, OURS, READ_ONLY, READING, WRITING, AllowedRoutes

Ask = Callable[..., Any]
NEVER = {
    ("POST", "/api/studies/<study_id:int>/rename"),
    ("POST", "/incompatible-rdb-schema"),
    ("POST", "/api/llm/trial_filter_query"),
    ("POST", "/api/llm/generate_plotly_graph_query"),
    ("POST", "/api/llm/re_generate_plotly_graph_query"),
}
EXAMPLE = {
    "<study_id:int>": "0",
    "<trial_id:int>": "0",
    "<artifact_id:re:[0-9a-fA-F-]+>": "abc-0",
    "<history_id>": "h",
    "<plot_type>": "none",
    "<filename:path>": "bundle.js",
    "<:re:(/.*)?>": "/studies/0",
}


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(study_name="kept")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    study.ask()
    return study


def dashboard(study: optuna.Study, folder: Any, writable: bool) -> Bottle:
    app = wsgi(study._storage, artifact_store=FileSystemArtifactStore(str(folder)))
    app.install(AllowedRoutes(writable))
    return app


def path_of(rule: str) -> str:
    for wildcard, value in EXAMPLE.items():
        rule = rule.replace(wildcard, value)
    assert "<" not in rule
    return rule


def everything(study: optuna.Study) -> str:
    """Return the content of the storage in a form that can be compared."""
    storage = study._storage
    found = [
        (each.study_name, each.user_attrs, each.system_attrs, storage.get_all_trials(each._study_id))
        for each in storage.get_all_studies()
    ]
    return repr(found)


def test_routes_lists_cover_all_of_optuna_dashboard(study: optuna.Study, tmp_path: Any) -> None:
    """A route that a version of the dashboard adds or drops has to be judged by a person."""
    table = {(route.method, route.rule) for route in dashboard(study, tmp_path, False).routes}
    assert table == READING | WRITING | NEVER
    assert not table & OURS and {method for method, _ in OURS} == {"GET"}
    assert not READING & WRITING and not (READING | WRITING) & NEVER
    assert {method for method, _ in READING} == {"GET"}


def test_read_only_routes_change_nothing(study: optuna.Study, tmp_path: Any, ask: Ask) -> None:
    app = dashboard(study, tmp_path, False)
    before = everything(study)
    anything = {
        "study_name": "new", "directions": ["minimize"], "version": 1, "body": "x", "state": "Complete",
        "values": [1], "user_attrs": {"a": 1}, "mode": "ChooseWorst", "candidates": [0], "clicked": 0,
        "output_type": "note", "file": "data:text/plain;base64,YQ==", "filename": "a.txt",
    }  # fmt: skip
    assert len(app.routes) > 30
    for route in app.routes:
        answer = ask(app, path_of(route.rule), route.method, json.dumps(anything).encode())
        refused = answer.status == 403
        assert refused is ((route.method, route.rule) not in READING), (route, answer)
        if refused:
            reason = READ_ONLY if (route.method, route.rule) in WRITING else NOT_SERVED
            assert json.loads(answer.body) == {"reason": reason}
    assert everything(study) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_unknown_route_is_refused(
    study: optuna.Study, tmp_path: Any, ask: Ask, method: str, writable: bool
) -> None:
    app = dashboard(study, tmp_path, writable)
    app.route("/api/brand-new", method=method, callback=lambda: "done")
    answer = ask(app, "/api/brand-new", method)
    assert (answer.status, json.loads(answer.body)) == (403, {"reason": NOT_SERVED})


def test_writable_allows_notes_and_deletes(study: optuna.Study, tmp_path: Any, ask: Ask) -> None:
    app = dashboard(study, tmp_path, True)
    note = json.dumps({"version": 1, "body": "seen"}).encode()
    assert ask(app, "/api/studies/0/note", "PUT", note).status == 204
    assert ask(app, "/api/studies/0/rename", "POST", b'{"study_name": "other"}').status == 403
    assert ask(app, "/api/studies/0", "DELETE", b"{}").status == 204
    assert study._storage.get_all_studies() == []
