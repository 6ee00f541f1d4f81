"""`hpo show`, on a database with a trial of each kind."""

from __future__ import annotations

import pytest

from tests.helpers.command_output import Capture, error_text, output_json, output_lines


def test_show_complete_trial_has_heading_curve_and_findings(demo: str, capsys: Capture) -> None:
    shown = output_lines(capsys, "show", "demo", "1")
    assert shown[:2] == [
        "trial 1 of demo  complete  val_accuracy 0.8125  25,000 parameters, 4 s, 2,000 images/s, cpu",
        "healthy",
    ]
    assert "  optimizer  adam" in shown
    assert "  val_accuracy ▂▄▅  0 to 1" in shown
    assert "    2        0.4000     1.000       1.000          0.5000  0.01  1.5 s     2,000" in shown
    assert "initial_loss  pass     0  the first loss is 2.31, ln 10 is 2.303" in shown


def test_show_leaves_out_values_without_effect(demo: str, capsys: Capture) -> None:
    """Adam has no momentum; that of the norm layers has another name."""
    with_momentum = [line for line in output_lines(capsys, "show", "demo", "1") if "momentum 0.9" in line]
    assert [line for line in with_momentum if "momentum 0.9" in line.split("norm_")[0]] == []
    assert any("momentum   0.6" in line for line in output_lines(capsys, "show", "demo", "2"))


def test_show_pruned_trial_has_verdict_and_remedy(demo: str, capsys: Capture) -> None:
    assert output_lines(capsys, "show", "demo", "2")[1:3] == [
        "exploded: loss 9.1 at step 30 is over 3 x the first loss 2.31",
        "try: lower lr to 0.5 or less",
    ]


def test_show_failed_trial_escapes_control_characters(demo: str, capsys: Capture) -> None:
    shown = "\n".join(output_lines(capsys, "show", "demo", "4"))
    assert "  ValueError: \\x1b[31mno" in shown
    assert "\x1b" not in shown


def test_show_running_trial_has_no_value(demo: str, capsys: Capture) -> None:
    assert output_lines(capsys, "show", "demo", "5")[0] == "trial 5 of demo  running  cpu"


def test_show_json_has_the_whole_trial(demo: str, capsys: Capture) -> None:
    trial = output_json(capsys, "show", "demo", "0")
    assert (trial["state"], trial["value"], len(trial["curve"])) == ("complete", 0.71, 3)
    assert trial["configuration"]["momentum"] == 0.9
    assert trial["attempts"][0]["worker"] == "host:1:w"


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        (["demo", "99"], "error: study demo has no trial 99: its trials are 0 to 5"),
        (["dmo", "1"], "error: there is no study dmo in this database: did you mean demo?"),
    ],
)
def test_show_unknown_trial_is_an_error(demo: str, trial: list[str], message: str, capsys: Capture) -> None:
    assert error_text(capsys, "show", *trial).startswith(message)
