"""optuna-dashboard as a WSGI application, wrapped by hpo's login, routes and headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import BinaryIO

from bottle import HTTPError, HTTPResponse
from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna_dashboard import wsgi
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from sqlalchemy import inspect

from hpo.artifacts import store
from hpo.errors import StorageError
from hpo.redact import safe_url
from hpo.reporting.dashboard.annotations import Annotations
from hpo.reporting.dashboard.headers import SafeHeaders, SameSite
from hpo.reporting.dashboard.login import Login, Throttle
from hpo.reporting.dashboard.plugin import Plugin
from hpo.reporting.dashboard.routes import AllowedRoutes
from hpo.reporting.dashboard.wsgi import Environ, StartResponse, WsgiApp
from hpo.reporting.prometheus import database_metrics
from hpo.storage.engine import open_reader, reading
from hpo.storage.optuna.storage import close_optuna_storage, open_optuna_storage


@dataclass(frozen=True)
class Access:
    """Who may access the dashboard, and what they may do."""

    token: str | None = None
    """None: no login."""
    writable: bool = False
    trusted_proxy: str | None = None
    """The address of the proxy in front, whose X-Forwarded headers are trusted."""


class Dashboard:
    """A WSGI application with connections to a database, which ``close`` closes."""

    def __init__(
        self, app: WsgiApp, prepare: Callable[[], None], closing: Sequence[Callable[[], None]]
    ) -> None:
        self._app, self._prepare, self._closing = app, prepare, closing

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, start_response)

    def prepare(self) -> None:
        """Compute in the background what the first visitor is likely to request."""

        def prepare() -> None:
            with suppress(Exception):  # the request itself will report the error
                self._prepare()

        Thread(target=prepare, name="prepare", daemon=True).start()

    def close(self) -> None:
        """Close the connections that no request is using."""
        for close in self._closing:
            close()


def make_app(url: str, access: Access) -> Dashboard:
    """Return the dashboard as a WSGI application.

    Raises ``StorageError`` if the database is missing or unusable, or has no studies.
    """
    _require_studies(url)
    # Optuna's cached storage: with 5,000 trials a page's refetch takes 0.26 s instead of 5.3 s.
    storage, annotations = open_optuna_storage(url), Annotations(url)
    dashboard = wsgi(storage, artifact_store=_Uploads(_uploads_folder(access.writable)))
    dashboard.route("/metrics", callback=lambda: _metrics(url))
    # Installed first, hence applied innermost.
    plugin = Plugin(storage, annotations)
    dashboard.install(plugin)
    dashboard.install(AllowedRoutes(access.writable))
    app: WsgiApp = dashboard
    if access.token is not None:
        app = Login(app, access.token, Throttle())
    app = SafeHeaders(SameSite(app, only_local=access.token is None and access.trusted_proxy is None))
    return Dashboard(app, plugin.prepare, [annotations.close, lambda: close_optuna_storage(storage)])


def _metrics(url: str) -> HTTPResponse:
    """Answer with the metrics for Prometheus, or with 503 and the reason, which fails the scrape."""
    try:
        return HTTPResponse(database_metrics(url), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
    except StorageError as error:
        return HTTPResponse(f"{error}\n", 503, {"Content-Type": "text/plain; charset=utf-8"})


class _Uploads(FileSystemArtifactStore):
    """A folder of uploaded artifacts."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open the file; HTTP error 404 if it is missing, as on another machine."""
        try:
            return super().open_reader(artifact_id)
        except ArtifactNotFound:
            raise HTTPError(404, "the file of this artifact is not on this machine") from None


def _uploads_folder(make: bool) -> Path:
    folder = store.artifacts() / "uploads"
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _require_studies(url: str) -> None:
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            found = inspect(connection).has_table("studies") and inspect(connection).has_table("trials")
    finally:
        engine.dispose()
    if not found:
        raise StorageError(
            f"{safe_url(url)} has no studies: create one with `hpo run STUDY --storage ...`, "
            "or choose another database"
        )
