"""Every `pip install` in messages, pages and scripts is of this package or of one that it declares."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hpo.provenance import DISTRIBUTION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DECLARED = {
    canonicalize_name(Requirement(text).name)
    for texts in (PROJECT["dependencies"], *EXTRAS.values())
    for text in texts
}
COMPARED = {"neuraldbg"}
"""Tools that benchmarks compare hpo with, in an environment of their own."""
FOLDERS = ("hpo", "models", "studies", "docs", "deploy", "benchmarks", ".ci", ".github")
FILES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Dockerfile", "docker-compose.yml", "Makefile")
_COMMAND = re.compile(r"\bpip(?:3|x)? install ((?:\\\n|[^`\n;&,)])*)")
_WITH_VALUE = {"--index-url", "--extra-index-url", "-r", "-c", "--target", "--python"}


def _texts() -> Iterator[tuple[Path, str]]:
    paths = [ROOT / name for name in FILES]
    paths += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in paths:
        if path.suffix not in {".pyc", ".png", ".svg"}:
            yield path, path.read_text(encoding="utf-8", errors="replace")


def _installed(text: str) -> Iterator[Requirement]:
    """Yield what the `pip install` commands in a text install by name."""
    for command in _COMMAND.findall(text.replace("{DISTRIBUTION}", DISTRIBUTION)):
        words = iter(command.replace("\\\n", " ").split())
        for word in words:
            if word in _WITH_VALUE:
                next(words, None)
            name = word.strip("'\".:")
            found = re.fullmatch(r"([A-Za-z][\w.-]*(?:\[[\w,-]+\])?)(?:[<>=!~]\S*)?", name)
            if found and not name.endswith(".whl"):
                yield Requirement(found[1])


def test_install_commands_name_only_this_package_and_declared_ones() -> None:
    named = [(path.name, each) for path, text in _texts() for each in _installed(text)]
    assert {each.name for _, each in named} >= {DISTRIBUTION, "pandas", "pyarrow", "torch"}  # it finds them
    strangers = {
        (file, str(each))
        for file, each in named
        if canonicalize_name(each.name) not in {*DECLARED, *COMPARED, DISTRIBUTION}
        or (each.name == DISTRIBUTION and not each.extras <= set(EXTRAS))
    }
    assert strangers == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run `pip install 'hpo[ray]'`, or", ["hpo[ray]"]),
        ("pip install --index-url https://x.org/cpu \\\n  torch torchvision", ["torch", "torchvision"]),
        ("/opt/hpo/bin/pip install wheels/hpo-*.whl", []),
        ("-m pip install -U {DISTRIBUTION}, or", [DISTRIBUTION]),
    ],
)
def test_install_commands_are_read_from_text(text: str, found: list[str]) -> None:
    assert [str(each) for each in _installed(text)] == found


def test_metadata_is_looked_up_of_declared_packages_only() -> None:
    looked_up = {
        canonicalize_name(name)
        for path in (ROOT / "hpo").rglob("*.py")
        for name in re.findall(r"\b(?:version|requires)\(\"([\w-]+)\"\)", path.read_text(encoding="utf-8"))
    }
    assert looked_up and looked_up <= DECLARED


def test_project_is_named_as_messages_name_it() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert Requirement(EXTRAS["dev"][0]).name == DISTRIBUTION
    wheel = f"{DISTRIBUTION.replace('-', '_')}-*.whl"
    assert all(wheel in (ROOT / each).read_text() for each in ("Dockerfile", "docs/operations.md"))
    assert PROJECT["scripts"] == {"hpo": "hpo.cli.app:main"}


def test_make_removes_the_package_of_the_old_name() -> None:
    command = ["make", "--dry-run", "--always-make", "test-unit"]
    planned = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    (old,) = [i for i, line in enumerate(planned) if "pip uninstall" in line and line.endswith(" hpo")]
    (new,) = [i for i, line in enumerate(planned) if "-e '.[dev]'" in line]
    assert old < new
