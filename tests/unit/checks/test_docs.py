"""docs/checks.md keeps its promises: the loop in it runs, and every check in the code is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.checks.arguments import TASKS
from hpo.checks.facts import TASKS_WITH, Fact
from hpo.checks.registry import AFTER, BEFORE, DURING, NEEDS, Check

PAGE = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")


def test_the_loop_of_ones_own_runs_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"<!-- example -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    exec(compile(found.group(1), "docs/checks.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("healthy: ")
    assert "learned pass reached 1.000; guessing gives 0.100" in lines


def test_every_check_is_described() -> None:
    tables = PAGE[PAGE.index("### Before training") : PAGE.index("### Where thresholds come from")]
    named = set(re.findall(r"`([a-z_]+)`", tables))
    checks = {check.__name__ for check in (*BEFORE, *DURING, *AFTER)}
    assert checks - named == {"stayed_finite"}  # the pass of exploding_loss


def _row(check: Check) -> str:
    """A check, the facts that it needs, and the tasks that it is for."""
    needs = NEEDS[check]
    tasks = [task for task in TASKS if all(task in TASKS_WITH.get(fact, TASKS) for fact in needs)]
    facts = ", ".join(fact.name.lower() for fact in Fact if fact in needs)
    every = len(tasks) == len(TASKS)
    return f"| `{check.__name__}` | {facts or 'none'} | {'all' if every else ', '.join(tasks)} |"


def test_the_needs_of_every_check_are_in_the_table() -> None:
    checks = list(dict.fromkeys((*BEFORE, *DURING, *AFTER)))
    table = "\n".join(["| check | needs | tasks |", "|---|---|---|", *map(_row, checks)])
    assert set(NEEDS) == set(checks)
    assert f"<!-- needs -->\n{table}\n<!-- end: needs -->" in PAGE, table


def test_every_fact_is_described() -> None:
    described = PAGE[PAGE.index("## What a check needs to know") : PAGE.index("<!-- needs -->")]
    assert {fact.name.lower() for fact in Fact} <= set(re.findall(r"`([a-z_]+)`", described))
