"""Captured output: bounded, with its start and its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.trial import output


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "worker.log"
    monkeypatch.setattr(output, "_log", path)
    return path


def test_drain_of_large_output_keeps_its_start_and_end(log: Path) -> None:
    log.write_text("first\n" + "x" * 99 + "\n" + "".join(f"line {i}\n" for i in range(50_000)) + "last\n")
    text = output.drain()
    assert text.startswith("first\n") and text.endswith("last")
    assert "kB left out" in text
    assert output.MOST_BYTES - 200 < len(text) <= output.MOST_BYTES + 100
    assert log.read_text() == ""


def test_bound_cuts_a_file_that_has_grown_large(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LARGE_BYTES", 200_000)
    with log.open("a") as file:  # as a process whose output it is
        file.write("first\n" + "y" * 300_000 + "\n")
        file.flush()
        output.bound()
        assert log.stat().st_size < output.MOST_BYTES + 100
        file.write("last\n")
    assert output.drain().startswith("first\n") and not log.read_text()


def test_short_output_is_left_whole(log: Path) -> None:
    log.write_text("one\ntwo\n")
    output.bound()
    assert output.drain() == "one\ntwo"
