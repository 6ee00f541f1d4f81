"""What is said on stderr while something slow runs."""

from __future__ import annotations

import time

import pytest

from hpo.data.progress import progress_bar


def test_one_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("decoding [a]", 10) as advance:
        advance(5)
        advance(5)
    captured = capsys.readouterr()
    assert captured.err == "decoding [a] ...\n"
    assert captured.out == ""


def test_the_time_left_is_said_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 60.0, 65.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress_bar("decoding", 4_000) as advance:
        for _ in range(3):
            advance(1_000)
    assert capsys.readouterr().err.splitlines() == [
        "decoding ...",
        "decoding: 2,000 of 4,000, about 1 min 00 s left",
    ]


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("decoding [a]", 10) as advance:
        advance(10)
    captured = capsys.readouterr()
    assert "decoding [a]" in captured.err and "100%" in captured.err
    assert captured.out == ""
