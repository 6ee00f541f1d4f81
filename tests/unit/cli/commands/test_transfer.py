"""`hpo export-study` and `hpo import-study`."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.command_output import Capture, error_text, output_json, output_lines


def test_exported_study_is_imported_into_another_database(demo: str, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "demo.zip"
    exported = output_lines(capsys, "export-study", "demo", "-o", str(file))
    summary = "demo  6 trials (2 complete, 2 pruned, 1 failed, 1 running), 6 epochs"
    assert exported == [
        f"{summary}  ->  {file} ({file.stat().st_size:,} bytes)",
        "1 trial was running: the file has all epochs so far, and an import can resume",
    ]
    other = ("--storage", f"sqlite:///{tmp_path / 'other.db'}")
    imported = output_lines(capsys, "import-study", str(file), "--as", "copy", *other)
    assert imported[0] == f"{summary.replace('demo', 'copy')}  <-  {file}"
    assert imported[1].startswith("read back from the database: all ")
    assert imported[2] == "1 trial was running at the export; the next worker resumes"
    assert output_lines(capsys, "status", *other)[1].split()[:2] == ["copy", "5/6"]
    assert "--as NAME" in error_text(capsys, "import-study", str(file), "--as", "copy", *other)


def test_transfer_json_counts_rows(demo: str, tmp_path: Path, capsys: Capture) -> None:
    file = str(tmp_path / "demo.zip")
    exported = output_json(capsys, "export-study", "demo", "-o", file)
    assert (exported["study"], exported["file"], exported["running"]) == ("demo", file, 1)
    assert exported["rows"]["hpo_epoch.jsonl"] == 6
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert output_json(capsys, "import-study", file, "--storage", other) == exported


def test_export_unknown_study_writes_no_file(demo: str, tmp_path: Path, capsys: Capture) -> None:
    shown = error_text(capsys, "export-study", "dem", "-o", str(tmp_path / "x.zip"))
    assert "there is no study dem in this database: did you mean demo? It has demo" in shown
    assert list(tmp_path.iterdir()) == []
