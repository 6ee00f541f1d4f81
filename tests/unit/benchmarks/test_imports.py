"""Benchmarks are rarely run: what they take from hpo must still be there."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_benchmarks_import_only_names_that_hpo_has() -> None:
    imported = {
        (each.module, name.name)
        for path in BENCHMARKS.rglob("*.py")
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.ImportFrom) and (each.module or "").split(".")[0] == "hpo"
        for name in each.names
    }
    assert len(imported) > 100
    assert sorted(f"{module}.{name}" for module, name in imported if not _has(str(module), name)) == []


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name) or bool(
            importlib.util.find_spec(f"{module}.{name}")
        )
    except ModuleNotFoundError:
        return False
