"""docs/architecture.md agrees with the code and with the contract that import-linter holds."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:hpo|models)/[\w/]+\.(?:py|sql))(?::[\w.]+)?`", PAGE)))
STEPS = sorted(set(re.findall(r"`((?:hpo|models)/[\w/]+\.py):([\w.]+)`", PAGE)))


def _section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/architecture.md has no section {title!r}"
    return found[1]


def _files_of_walk(title: str) -> list[str]:
    steps = "\n".join(re.findall(r"^\d+\. .*$", _section(title), flags=re.MULTILINE))
    return list(dict.fromkeys(re.findall(r"`((?:hpo|models)/[\w/]+\.\w+)(?::[\w.]+)?`", steps)))


def _definitions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return names


def test_layer_table_matches_linter_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each["type"] == "layers"]
    held = [sorted(name.strip() for name in layer.split("|")) for layer in layers]
    rows = re.findall(r"^\| \d+ \| (.+?) \|$", _section("Packages"), flags=re.MULTILINE)
    assert [sorted(re.findall(r"`(\w+)`", row)) for row in rows] == held


def test_layer_contract_names_every_package() -> None:
    rows = re.findall(r"^\| \d+ \| (.+?) \|$", _section("Packages"), flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    packages = {path.parent.name for path in ROOT.glob("hpo/*/__init__.py")}
    modules = {path.stem for path in ROOT.glob("hpo/*.py")} - {"__init__"}
    assert named == packages | modules


@pytest.mark.parametrize("path", FILES)
def test_named_file_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(("path", "name"), STEPS)
def test_named_function_is_defined_there(path: str, name: str) -> None:
    assert name in _definitions(path)


def test_walk_to_first_row_passes_at_most_15_files() -> None:
    assert 5 <= len(_files_of_walk("From a study file to the first row")) <= 15


def test_walk_to_curves_passes_at_most_6_files() -> None:
    assert 3 <= len(_files_of_walk("From an epoch's numbers to `curves`")) <= 6
