"""Where Matplotlib keeps its list of fonts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpo.reporting.figures import give_matplotlib_a_folder
from hpo.settings import settings


@pytest.mark.parametrize("writable", [True, False])
def test_matplotlib_gets_a_folder_only_if_its_own_is_not_writable(
    writable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir() if writable else home.touch()  # below a file not even root can write
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", "")  # so that it is restored
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.setenv("HOME", str(home))
    give_matplotlib_a_folder()
    given = str(settings().cache / "matplotlib")
    assert os.environ.get("MPLCONFIGDIR") == (None if writable else given)
