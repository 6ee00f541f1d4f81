"""The programs in docs/frameworks.md find their faults, as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.data.cifar10 import import_torchvision

PAGE = (Path(__file__).parents[3] / "docs" / "frameworks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"<!-- example(?:: (\w+))? -->\n```python\n(.*?)\n```\n\n```\n(.*?)\n```\n", PAGE, re.DOTALL
)


def _printed(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Run an example; return its verdict without numbers, and that on the page."""
    ((code, shown),) = [(code, shown) for each, code, shown in EXAMPLES if each == name]
    exec(compile(code, "docs/frameworks.md", "exec"), {})
    printed = capsys.readouterr()
    verdicts = [_verdict(text) for text in (printed.err + printed.out, shown)]
    return verdicts[0], verdicts[1]


def _verdict(text: str) -> str:
    """Return the last verdict: the cause, and what to try."""
    *_, (cause, remedy) = re.findall(r"^(?:hpo: )?([a-z -]+): .*\n  try: (.*)$", text, re.MULTILINE)
    return f"{cause}: {remedy}"


def test_plain_loop_runs_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    ran, shown = _printed("", capsys)
    assert ran == shown == "gradients accumulate: call optimizer.zero_grad() before each backward"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_trainer_runs_as_it_is_written(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    import_torchvision()
    pytest.importorskip(name, reason=f"the extra {name} is not installed")
    ran, shown = _printed(name, capsys)
    assert ran == shown
