"""optuna-dashboard's page and script, with little changes that let a browser show a large study soon.

plots.js stands before the script and changes what the script asks plotly to draw. Where optuna-dashboard is
not as we know it, the page and the script are sent as they are.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import optuna_dashboard
from bottle import HTTPResponse, request

VERSIONED = "/static/v-"
"""What the script's address begins with: another one in each version, for browsers to keep it."""
_FOLDER = Path(optuna_dashboard.__file__).parent
_PLACE = 'src="/static/bundle.js"'
"""Where the page names the script."""
_PLOTLY = re.compile(r"\bvar (\w+)=(\w+\(758\));")
"""Where the script takes plotly from among its modules."""
_STUDY = re.compile(r"/dashboard/studies/([0-9]+)(/|$)")


@dataclass(frozen=True)
class Script:
    """The script as it is sent."""

    packed: bytes
    """By gzip."""
    address: str


@cache
def the_script() -> Script | None:
    """The script with our changes; None where they do not fit."""
    text = changed((_FOLDER / "public" / "bundle.js").read_text(encoding="utf-8"))
    if text is None:
        return None
    plain = text.encode()
    version = hashlib.sha256(plain).hexdigest()[:16]
    return Script(gzip.compress(plain, compresslevel=6), f"{VERSIONED}{version}/bundle.js")


def changed(bundle: str) -> str | None:
    """The script with ``plots.js`` between it and plotly; None where there is no place for it."""
    text, places = _PLOTLY.subn(r"var \1=hpoPlotly(\2);", bundle)
    if places != 1:
        return None
    return resources.files(__package__).joinpath("plots.js").read_text(encoding="utf-8") + text


def page_answer(callback: Callable[..., Any]) -> Any:
    """The page, which asks for a study while its script is still being read."""
    script = the_script()
    html = (_FOLDER / "index.html").read_text(encoding="utf-8")
    if script is None or html.count(_PLACE) != 1:
        return callback()
    html = html.replace(_PLACE, f'src="{script.address}"')
    html = html.replace("<head>", "<head>" + "".join(map(_early, _asked_at_once(request.path))), 1)
    return HTTPResponse(html, headers={"Content-Type": "text/html; charset=utf-8"})


def static_answer(callback: Callable[..., Any], filename: str) -> Any:
    """Our script under its address; else what optuna-dashboard has."""
    script = the_script()
    if script is None or f"/static/{filename}" != script.address:
        return callback(filename=filename)
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return HTTPResponse(gzip.decompress(script.packed), headers=headers)
    return HTTPResponse(script.packed, headers=headers | {"Content-Encoding": "gzip"})


def _asked_at_once(path: str) -> list[str]:
    """What the script asks for as soon as it runs, word for word: it gets what was begun by then."""
    study = _STUDY.match(path)
    if study is None:
        return []
    asked = [f"/api/studies/{study[1]}?after=0"]
    return asked if study[2] else [*asked, f"/api/studies/{study[1]}/param_importances"]


def _early(address: str) -> str:
    return f'<link rel="preload" as="fetch" crossorigin href="{address}">'
