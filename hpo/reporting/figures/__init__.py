"""Pictures of studies and trials: static ones by Matplotlib, interactive ones by plotly."""

import os
from pathlib import Path

from hpo.files import is_writable
from hpo.settings import settings


def give_matplotlib_a_folder() -> None:
    """Have Matplotlib keep its list of fonts in hpo's cache where its own folders cannot be written.

    It would print a warning, and look for the fonts again each time. Call this before
    Matplotlib is imported.
    """
    cache = settings().cache.absolute() / "matplotlib"
    bases = (os.environ.get("XDG_CONFIG_HOME") or "~/.config", os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    usable = all(is_writable(Path(base).expanduser() / "matplotlib") for base in bases)
    if not usable and is_writable(cache):
        os.environ.setdefault("MPLCONFIGDIR", str(cache))
