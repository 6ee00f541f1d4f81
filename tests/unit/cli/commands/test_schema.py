"""`hpo schema` prints the schema of study files or writes it to a file."""

from __future__ import annotations

from pathlib import Path

from hpo.config.schema import schema_text
from tests.helpers.command_output import Capture, output_lines


def test_schema_is_printed(capsys: Capture) -> None:
    assert "\n".join(output_lines(capsys, "schema")) + "\n" == schema_text()


def test_schema_is_written_to_a_file(tmp_path: Path, capsys: Capture) -> None:
    assert output_lines(capsys, "schema", "-o", str(tmp_path / "s.json")) == []
    assert (tmp_path / "s.json").read_text() == schema_text()
