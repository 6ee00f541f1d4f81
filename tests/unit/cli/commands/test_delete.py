"""`hpo delete`, on a study that a worker is running."""

from __future__ import annotations

from tests.helpers.command_output import Capture, error_text, output_lines


def test_delete_running_study_is_refused(own_demo: str, capsys: Capture) -> None:
    shown = error_text(capsys, "delete", "demo", "--yes")
    assert "1 worker holds a trial of demo: run `hpo stop demo --wait` first" in shown
    assert output_lines(capsys, "studies")[1].startswith("demo")


def test_delete_without_a_terminal_needs_yes(own_demo: str, capsys: Capture) -> None:
    shown = error_text(capsys, "delete", "demo", "--force")
    assert "permanently deletes demo with 6 trials (5 done, best 0.8125)" in shown and "--yes" in shown
    assert output_lines(capsys, "studies")[1].startswith("demo")


def test_delete_unknown_study_suggests_a_name(own_demo: str, capsys: Capture) -> None:
    assert "did you mean demo?" in error_text(capsys, "delete", "dem", "--yes")


def test_delete_force_deletes_a_running_study(own_demo: str, capsys: Capture) -> None:
    assert output_lines(capsys, "delete", "demo", "--force", "--yes") == ["deleted demo"]
    first = output_lines(capsys, "studies")[0]
    assert first == "no studies yet: `hpo run quickstart` starts one; `hpo studies --bundled` lists more"
