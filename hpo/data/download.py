"""Probe and download a file over the network, with time limits."""

from __future__ import annotations

import hashlib
import http.client
import threading
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import BinaryIO

from hpo.data.progress import progress_bar
from hpo.errors import DataError
from hpo.files import locked, remove_leftovers, write_file
from hpo.text import counted

_SILENCE_SECONDS = 30.0  # a download fails after this long without receiving data
_BLOCK = 1 << 18


def why_unreachable(url: str, size: int, seconds: float) -> str | None:
    """Return ``None`` if the server offers a file of ``size`` bytes within ``seconds``, otherwise the reason.

    The request runs in a thread that is abandoned after the time limit: a stalled lookup ignores timeouts.
    """
    refusals: list[str | None] = []
    probe = threading.Thread(target=lambda: refusals.append(_refusal(url, size, seconds)), daemon=True)
    probe.start()
    probe.join(seconds)
    return refusals[0] if refusals else f"no answer within {seconds:g} s"


def _refusal(url: str, size: int, seconds: float) -> str | None:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds) as response:
            offered = response.headers.get("Content-Length", "none")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)
    return None if offered == str(size) else f"it offers {offered} instead of {counted(size, 'byte')}"


def download(url: str, path: Path, md5: str) -> None:
    """Download ``url`` to ``path``, which appears only when it is complete and its checksum matches.

    Raises ``DataError`` if it cannot be fetched, ``OSError`` if it cannot be written.
    """
    with locked(path) as alone:
        if path.exists():  # another process was faster
            return
        if alone:
            remove_leftovers(path)
        write_file(path, partial(_fetch, url=url, md5=md5))


def _fetch(handle: BinaryIO, url: str, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        response = urllib.request.urlopen(url, timeout=_SILENCE_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"cannot download {url}: {_reason(error)}") from error
    total = int(response.headers.get("Content-Length", 0))
    with response, progress_bar(f"downloading {url} ({total / 1e6:,.0f} MB)", total) as advance:
        while block := _read(response, url):
            handle.write(block)
            digest.update(block)
            advance(len(block))
    if digest.hexdigest() != md5:
        raise DataError(f"the download of {url} is damaged (MD5 {digest.hexdigest()}, expected {md5})")


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"the download of {url} was interrupted: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    message = reason.strerror if isinstance(reason, OSError) else str(reason)
    return message or str(reason) or type(reason).__name__
