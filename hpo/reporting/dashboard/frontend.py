"""optuna-dashboard's page and script, changed so that a browser shows a large study quickly.

``plots.js`` wraps the plotly that the script uses. The script is compiled and changes with every release of
optuna-dashboard: where ``patch`` does not recognize it, page and script are served unchanged, with one
warning in the log, and a test fails.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna_dashboard
from bottle import HTTPResponse, request

logger = logging.getLogger(__name__)

VERSIONED = "/static/v-"
"""How the address of the patched script starts. It contains a hash, so that browsers may cache it forever."""
PLOTS = ("graph-timeline", "graph-intermediate-values")
"""The plots that ``plots.js`` changes, by their ids in the script."""
_FOLDER = Path(optuna_dashboard.__file__).parent
_SCRIPT = 'src="/static/bundle.js"'
"""How the page refers to the script."""
_CALL = re.compile(r"\.react\(")
_LONGEST_NAME = 40
_STUDY = re.compile(r"/dashboard/studies/([0-9]+)(/|$)")


@dataclass(frozen=True)
class Script:
    """The patched script, compressed with gzip, and its address."""

    gzipped: bytes
    address: str


@cache
def patched_script() -> Script | None:
    """Return the patched script, or None, with a warning, if it cannot be patched."""
    text = patch((_FOLDER / "public" / "bundle.js").read_text(encoding="utf-8"))
    if text is None:
        logger.warning(
            "the script of optuna-dashboard %s is not one that hpo knows: it is served unchanged, and large "
            "studies load more slowly",
            version("optuna-dashboard"),
        )
        return None
    plain = text.encode()
    digest = hashlib.sha256(plain).hexdigest()[:16]
    return Script(gzip.compress(plain, compresslevel=6), f"{VERSIONED}{digest}/bundle.js")


def patch(bundle: str) -> str | None:
    """Return the script with plotly wrapped by ``plots.js``, or None if it is not recognized.

    Plotly is the one variable whose ``react`` the script calls; it is assigned once, from a module.
    """
    callers = {
        re.split(r"[^\w$]", bundle[max(0, call.start() - _LONGEST_NAME) : call.start()])[-1]
        for call in _CALL.finditer(bundle)
    }
    if len(callers) != 1 or not all(f'"{plot}"' in bundle for plot in PLOTS):
        return None
    (plotly,) = map(re.escape, callers)
    text, count = re.subn(rf"var ({plotly})=([\w$]+\(\d+\));", r"var \1=hpoPlotly(\2);", bundle)
    if count != 1:
        return None
    return resources.files(__package__).joinpath("plots.js").read_text(encoding="utf-8") + text


def serve_page(callback: Callable[..., Any]) -> Any:
    """Serve the page with the patched script; it requests the study while that script still loads."""
    script = patched_script()
    html = (_FOLDER / "index.html").read_text(encoding="utf-8")
    if script is None or html.count(_SCRIPT) != 1:
        return callback()
    html = html.replace(_SCRIPT, f'src="{script.address}"')
    html = html.replace("<head>", "<head>" + "".join(map(_preload, _first_requests(request.path))), 1)
    return HTTPResponse(html, headers={"Content-Type": "text/html; charset=utf-8"})


def serve_static(callback: Callable[..., Any], filename: str) -> Any:
    """Serve the patched script under its address, and optuna-dashboard's files under theirs."""
    script = patched_script()
    if script is None or f"/static/{filename}" != script.address:
        return callback(filename=filename)
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return HTTPResponse(gzip.decompress(script.gzipped), headers=headers)
    return HTTPResponse(script.gzipped, headers=headers | {"Content-Encoding": "gzip"})


def _first_requests(path: str) -> list[str]:
    """Return what the script requests first, letter for letter: the browser then reuses the answer."""
    study = _STUDY.match(path)
    if study is None:
        return []
    details = f"/api/studies/{study[1]}?after=0"
    return [details] if study[2] else [details, f"/api/studies/{study[1]}/param_importances"]


def _preload(address: str) -> str:
    return f'<link rel="preload" as="fetch" crossorigin href="{address}">'
