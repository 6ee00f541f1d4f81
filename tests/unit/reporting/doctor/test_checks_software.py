"""Versions of packages, compared with what the distribution says that it needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

import pytest

from hpo.reporting.doctor import checks

Installed = Callable[[dict[str, str]], None]


@pytest.fixture
def needs(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Pretend that hpo needs ``alpha>=2,<3`` and, for development, ``beta``, and that these are installed."""
    texts = ["alpha>=2,<3", 'beta>=1; extra == "dev"']
    monkeypatch.setattr(checks, "requires", lambda _: texts)

    def install(versions: dict[str, str]) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise checks.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(checks, "version", version)

    return install


def test_the_interpreter_is_named() -> None:
    said = checks.python().message
    assert platform.python_version() in said
    assert sys.executable in said


def test_this_environment_is_fit() -> None:
    found = checks.packages()
    assert found.condition == "ok"
    assert "optuna 5." in found.message


def test_what_fits_is_listed_and_tools_for_development_are_not(needs: Installed) -> None:
    needs({"hpo": "0.1", "alpha": "2.5+cpu"})
    found = checks.packages()
    assert (found.condition, found.message) == ("ok", "hpo 0.1; alpha 2.5+cpu")


@pytest.mark.parametrize(
    ("installed", "said"),
    [({"alpha": "3.0"}, "alpha 3.0 (hpo needs <3,>=2)"), ({}, "alpha is missing (hpo needs <3,>=2)")],
)
def test_what_does_not_fit_is_a_problem_with_the_command_that_mends_it(
    installed: dict[str, str], said: str, needs: Installed
) -> None:
    needs({"hpo": "0.1", **installed})
    found = checks.packages()
    assert (found.condition, found.message) == ("problem", said)
    assert found.remedy == f"{sys.executable} -m pip install 'alpha<3,>=2'"
