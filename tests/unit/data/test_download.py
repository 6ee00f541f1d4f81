"""Downloads from a server on this machine that behaves in every wrong way."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.data import download as download_module
from hpo.data.download import download, why_unreachable
from hpo.errors import DataError

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at /file, half of it at /half, and nothing elsewhere."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path in ("/file", "/half") else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(CONTENT if self.path == "/file" else CONTENT[:5000])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_download_is_complete_and_checked(server: str, tmp_path: Path) -> None:
    download(f"{server}/file", tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched(silent: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    download(f"{silent}/file", tmp_path / "file", MD5)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("path", "md5", "said"),
    [
        ("/none", MD5, r"cannot download http://.*/none: HTTP Error 404|cannot download .*: Not Found"),
        ("/half", MD5, r"the download of .*/half (was interrupted|is damaged)"),
        ("/file", "0" * 32, rf"the download of .*/file is damaged \(MD5 {MD5}, expected 0+\)"),
    ],
)
def test_failed_downloads_leave_nothing(server: str, tmp_path: Path, path: str, md5: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        download(server + path, tmp_path / "file", md5)
    assert not [found for found in tmp_path.iterdir() if found.suffix != ".lock"]


def test_a_silent_server_is_given_up(silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "_SILENCE_SECONDS", 0.1)
    with pytest.raises(DataError, match=r"cannot download .*timed out"):
        download(f"{silent}/file", tmp_path / "file", MD5)


def test_reachable(server: str) -> None:
    assert why_unreachable(f"{server}/file", len(CONTENT), 5) is None


def test_a_server_that_offers_something_else(server: str) -> None:
    """A hotel's login page answers every question."""
    assert why_unreachable(f"{server}/file", 170, 5) == f"it offers {len(CONTENT)} instead of 170 bytes"


def test_reasons_why_not(server: str) -> None:
    assert why_unreachable(f"{server}/none", 1, 5) == "Not Found"
    assert "refused" in str(why_unreachable("http://127.0.0.1:9/file", 1, 5))


def test_a_stalled_name_look_up_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It obeys no socket timeout: the thread is left behind."""
    over = threading.Event()

    def stall(*_: object, **__: object) -> None:
        over.wait(60)
        raise socket.gaierror("at last")

    monkeypatch.setattr(socket, "getaddrinfo", stall)
    started = time.monotonic()
    assert why_unreachable("http://stalled.example/file", 1, 0.1) == "no answer within 0.1 s"
    assert time.monotonic() - started < 5
    over.set()
