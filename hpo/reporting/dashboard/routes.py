"""The allowed routes of optuna-dashboard and hpo. All others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bottle import HTTPResponse, Route

_ARTIFACT = "<artifact_id:re:[0-9a-fA-F-]+>"

READING = frozenset(
    {
        ("GET", "/"),
        ("GET", "/dashboard<:re:(/.*)?>"),
        ("GET", "/api/meta"),
        ("GET", "/api/studies"),
        ("GET", "/api/studies/<study_id:int>"),
        ("GET", "/api/studies/<study_id:int>/param_importances"),
        ("GET", "/api/studies/<study_id:int>/plot/<plot_type>"),
        ("GET", "/csv/<study_id:int>"),
        ("GET", "/favicon.ico"),
        ("GET", "/static/<filename:path>"),
        ("GET", "/incompatible-rdb-schema"),
        ("GET", f"/artifacts/<study_id:int>/{_ARTIFACT}"),
        ("GET", f"/artifacts/<study_id:int>/<trial_id:int>/{_ARTIFACT}"),
    }
)
"""Routes that change nothing, as (method, rule)."""

OURS = frozenset({("GET", "/metrics")})
"""Read-only routes that hpo adds."""

WRITING = frozenset(
    {
        ("POST", "/api/studies"),
        ("DELETE", "/api/studies/<study_id:int>"),
        ("PUT", "/api/studies/<study_id:int>/note"),
        ("PUT", "/api/studies/<study_id:int>/<trial_id:int>/note"),
        ("POST", "/api/trials/<trial_id:int>/tell"),
        ("POST", "/api/trials/<trial_id:int>/user-attrs"),
        ("POST", "/api/studies/<study_id:int>/preference"),
        ("PUT", "/api/studies/<study_id:int>/preference_feedback_component"),
        ("DELETE", "/api/studies/<study_id:int>/preference/<history_id>"),
        ("POST", "/api/studies/<study_id:int>/preference/<history_id>"),
        ("POST", "/api/studies/<study_id:int>/<trial_id:int>/skip"),
        ("POST", "/api/artifacts/<study_id:int>"),
        ("POST", "/api/artifacts/<study_id:int>/<trial_id:int>"),
        ("DELETE", f"/api/artifacts/<study_id:int>/{_ARTIFACT}"),
        ("DELETE", f"/api/artifacts/<study_id:int>/<trial_id:int>/{_ARTIFACT}"),
    }
)
"""Routes that ``--writable`` adds."""

# Never allowed, among others: `rename`, which copies the trials to a new study and deletes the old one with
# all of hpo's records; the upgrade of Optuna's tables, which is the job of `hpo db upgrade`; and the routes
# of the language model, which is never configured.

READ_ONLY = "this dashboard is read-only: start it with `hpo dashboard --writable` to change studies"
NOT_SERVED = "hpo does not serve this part of optuna-dashboard"


class AllowedRoutes:
    """A Bottle plugin that refuses all but the allowed routes, also those that a later version adds."""

    name = "hpo-allowed-routes"
    api = 2

    def __init__(self, writable: bool) -> None:
        self._allowed = READING | OURS | WRITING if writable else READING | OURS

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Return the route's callback, or one that refuses."""
        place = (route.method, route.rule)
        if place in self._allowed:
            return callback
        reason = READ_ONLY if place in WRITING else NOT_SERVED

        def refuse(**_: Any) -> HTTPResponse:
            return HTTPResponse(json.dumps({"reason": reason}), 403, {"Content-Type": "application/json"})

        return refuse
