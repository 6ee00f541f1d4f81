"""`hpo logs`, on a database with a trial of each kind."""

from __future__ import annotations

from tests.helpers.command_output import Capture, error_text, output_json, output_lines


def test_logs_of_a_failed_trial_end_with_its_traceback(demo: str, capsys: Capture) -> None:
    assert [line[21:] for line in output_lines(capsys, "logs", "demo", "4")] == [
        "attempt 1 starts on cpu  (host:1:w)",
        "attempt 1 failed after epoch 0  (host:1:w)",
        "failed: error: ValueError: \\x1b[31mno",
        "Traceback ...",
        "ValueError: \\x1b[31mno",
    ]


def test_logs_json_has_entries_in_order_of_time(demo: str, capsys: Capture) -> None:
    entries = output_json(capsys, "logs", "demo", "1")
    assert [each["kind"] for each in entries] == ["begun", "epoch", "epoch", "epoch", "ended", "verdict"]


def test_logs_unknown_trial_is_an_error(demo: str, capsys: Capture) -> None:
    assert "study demo has no trial 99" in error_text(capsys, "logs", "demo", "99")
