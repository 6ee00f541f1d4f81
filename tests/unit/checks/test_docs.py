"""docs/checks.md keeps its promises: the loop in it runs, and every check in the code is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.checks.registry import AFTER, BEFORE, DURING

PAGE = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")


def test_the_loop_of_ones_own_runs_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"<!-- example -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    exec(compile(found.group(1), "docs/checks.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "healthy"
    assert "learned pass reached 1.000; guessing gives 0.100" in lines


def test_every_check_is_described() -> None:
    tables = PAGE[PAGE.index("### Before training") : PAGE.index("### Where thresholds come from")]
    named = set(re.findall(r"`([a-z_]+)`", tables))
    checks = {check.__name__ for check in (*BEFORE, *DURING, *AFTER)}
    assert checks - named == {"stayed_finite"}  # the pass of exploding_loss
