from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a plain Optuna study whose trial is running."""
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard')}/d.db"
    trial = optuna.create_study(storage=url, study_name="demo", direction="maximize").ask()
    trial.report(0.25, step=1)
    return url


@pytest.fixture(scope="session")
def ask() -> Callable[..., Answer]:
    """Calls a WSGI application: ``ask(app, path, method, body=..., HTTP_HOST=...)``."""

    def call(app: Any, path: str, method: str = "GET", body: bytes = b"", **more: str) -> Answer:
        path, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "HTTP_ACCEPT_ENCODING": "gzip",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "application/json",
            "wsgi.input": io.BytesIO(body),
            "REMOTE_ADDR": "192.0.2.7",
            **more,
        }
        setup_testing_defaults(environ)
        started: list[Any] = []
        parts = app(environ, lambda *start: started.append(start))
        try:
            content = b"".join(parts)
        finally:
            getattr(parts, "close", lambda: None)()
        status, headers = started[-1][:2]
        if dict(headers).get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        return Answer(int(status.split()[0]), dict(headers), content)

    return call
