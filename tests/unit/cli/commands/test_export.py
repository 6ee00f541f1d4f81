"""What `hpo export` prints of the accuracies that it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.artifacts.metrics import Measured
from hpo.cli.commands.export import _print_text
from hpo.trial.export import Exported


@pytest.mark.parametrize(("recorded", "explained"), [(0.114, True), (0.112, False)])
def test_export_says_why_accuracies_differ(
    recorded: float, explained: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Measured(500, 0.112, (0.08, 0.14), 2.3, {})
    _print_text(
        Exported(Path("x"), "s", 1, "val", recorded, measured, 0.112, "", retrained=False,
                 recorded_on="cuda:0 in bf16")
    )  # fmt: skip
    why = f"recorded {recorded:.4f} (on cuda:0 in bf16; exported files compute on the CPU in fp32)"
    assert (why in capsys.readouterr().out) is explained
