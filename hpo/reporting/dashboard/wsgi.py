"""The types of WSGI, and a function that answers with a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
WsgiApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers: TypeAlias = Sequence[tuple[str, str]]


def answer(
    start_response: StartResponse, status: HTTPStatus, kind: str, text: str, headers: Headers = ()
) -> Iterable[bytes]:
    """Answer a request with a text; ``kind`` is its content type."""
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    start_response(f"{status.value} {status.phrase}", [("Content-Type", kind), length, *headers])
    return [body]
