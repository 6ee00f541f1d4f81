"""What export-study, import-study, db upgrade and db backup say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hpo.cli.app import run_command
from hpo.storage.revision import HEAD

ASSETS = Path(__file__).parents[2] / "upgrade_assets"
Capture = pytest.CaptureFixture[str]


def out(capsys: Capture, *command: str, code: int = 0) -> list[str]:
    capsys.readouterr()
    assert run_command(command) == code, capsys.readouterr().err
    return capsys.readouterr().out.splitlines()


def test_a_study_leaves_one_database_and_enters_another(demo: str, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "demo.zip"
    exported = out(capsys, "export-study", "demo", "-o", str(file))
    summary = "demo  6 trials (2 complete, 2 pruned, 1 failed, 1 running), 6 epochs"
    assert exported == [
        f"{summary}  ->  {file} ({file.stat().st_size:,} bytes)",
        "1 trial was running: the file has all epochs so far, and an import can resume",
    ]
    url = f"sqlite:///{tmp_path / 'other.db'}"
    imported = out(capsys, "import-study", str(file), "--as", "copy", "--storage", url)
    assert imported[0] == f"{summary.replace('demo', 'copy')}  <-  {file}"
    assert imported[1].startswith("read back from the database: all ")
    assert imported[2] == "1 trial was running at the export; the next worker resumes"
    assert out(capsys, "status", "--storage", url)[1].split()[:2] == ["copy", "5/6"]
    assert run_command(["import-study", str(file), "--as", "copy", "--storage", url]) == 2
    assert "--as NAME" in capsys.readouterr().err


def test_a_transfer_for_programs(demo: str, tmp_path: Path, capsys: Capture) -> None:
    file = str(tmp_path / "demo.zip")
    said = json.loads("\n".join(out(capsys, "export-study", "demo", "-o", file, "--json")))
    assert (said["study"], said["file"], said["running"]) == ("demo", file, 1)
    assert said["rows"]["hpo_epoch.jsonl"] == 6
    url = f"sqlite:///{tmp_path / 'other.db'}"
    again = json.loads("\n".join(out(capsys, "import-study", file, "--json", "--storage", url)))
    assert again == said


def test_a_study_that_is_not_there_makes_no_file(demo: str, tmp_path: Path, capsys: Capture) -> None:
    assert run_command(["export-study", "dem", "-o", str(tmp_path / "x.zip")]) == 2
    assert "there is no study dem in this database: did you mean demo? It has demo" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_says_from_which_schema_to_which(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((ASSETS / "v0001.sqlite.gz").read_bytes()))
    options = ("--storage", f"sqlite:///{path}")
    plan = f"upgrade {path} from schema 0001 to {HEAD}"
    assert out(capsys, "db", "upgrade", "--dry-run", *options) == [f"would: {plan}"]
    answer = json.loads("\n".join(out(capsys, "db", "upgrade", "--dry-run", "--json", *options)))
    assert (answer["from"], answer["to"], answer["changed"]) == ("0001", HEAD, False)
    assert out(capsys, "db", "upgrade", *options) == [f"done: {plan}"]
    assert out(capsys, "db", "upgrade", *options) == [f"{path} is up to date (schema {HEAD})"]


def test_a_backup_says_where_it_is_and_how_to_use_it(demo: str, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "backup.db"
    (line,) = out(capsys, "db", "backup", "-o", str(target))
    assert line.startswith(f"{target}  {target.stat().st_size:,} bytes, verified.")
    assert out(capsys, "status", "--storage", f"sqlite:///{target}") == out(capsys, "status")
    answer = json.loads("\n".join(out(capsys, "db", "backup", "-o", str(target), "--json")))
    assert answer == {"file": str(target), "bytes": target.stat().st_size}
