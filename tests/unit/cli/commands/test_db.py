"""`hpo db upgrade` and `hpo db backup`; tests/integration has `check` and `prune`."""

from __future__ import annotations

import gzip
from pathlib import Path

from hpo.storage.revision import HEAD
from tests.helpers.command_output import Capture, output_json, output_lines

ASSETS = Path(__file__).parents[3] / "upgrade_assets"


def test_db_upgrade_names_both_schemas(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((ASSETS / "v0001.sqlite.gz").read_bytes()))
    upgrade = ("db", "upgrade", "--storage", f"sqlite:///{path}")
    plan = f"upgrade {path} from schema 0001 to {HEAD}"
    assert output_lines(capsys, *upgrade, "--dry-run") == [f"would: {plan}"]
    answer = output_json(capsys, *upgrade, "--dry-run")
    assert (answer["from"], answer["to"], answer["changed"]) == ("0001", HEAD, False)
    assert output_lines(capsys, *upgrade) == [f"done: {plan}"]
    assert output_lines(capsys, *upgrade) == [f"{path} is up to date (schema {HEAD})"]


def test_db_backup_is_a_working_copy(demo: str, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "backup.db"
    (line,) = output_lines(capsys, "db", "backup", "-o", str(target))
    assert line.startswith(f"{target}  {target.stat().st_size:,} bytes, verified.")
    copy = output_lines(capsys, "status", "--storage", f"sqlite:///{target}")
    assert copy == output_lines(capsys, "status")
    answer = output_json(capsys, "db", "backup", "-o", str(target))
    assert answer == {"file": str(target), "bytes": target.stat().st_size}
