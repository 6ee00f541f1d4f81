"""Files that must not be imported, or only in part: cut short, altered, of another version."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hpo.errors import StudyExportError
from hpo.maintenance.transfer.archive import open_archive
from hpo.maintenance.transfer.importing import import_study
from hpo.storage.store import ResultsStore
from tests.conftest import NewDatabase
from tests.helpers.moving_studies import expect_nothing_of_it, views


def test_wherever_a_file_is_cut_short_it_is_refused(file: Path, here: str) -> None:
    whole = file.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(StudyExportError, match="is truncated, altered or not a study file"):
            import_study(here, file)
    expect_nothing_of_it(here)


def test_a_changed_byte_is_noticed_or_harmless(file: Path) -> None:
    """Some bytes of a zip say nothing, such as the time of a part."""
    whole = file.read_bytes()
    with open_archive(file) as archive:
        parts = {name: list(archive.lines(name)) for name in archive.manifest.parts}
    refused = 0
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            with open_archive(file) as archive:
                assert {name: list(archive.lines(name)) for name in archive.manifest.parts} == parts
        except StudyExportError:
            refused += 1
    assert refused > 0.7 * len(whole) / 7


def _rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)


def _manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps({**json.loads(members["manifest.json"]), **changes}).encode()

    return change


def _better_value(members: dict[str, bytes]) -> None:
    members["hpo_trial.jsonl"] = members["hpo_trial.jsonl"].replace(b'"value":0.7', b'"value":0.9')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_better_value, r"hpo_trial.jsonl is not what was written"),
        (lambda members: members.pop("hpo_epoch.jsonl"), r"its parts are not those .*\(hpo_epoch.jsonl\)"),
        (lambda members: members.update({"extra": b""}), r"its parts are not those .*\(extra\)"),
        (lambda members: members.pop("manifest.json"), r"not one that `hpo export-study` wrote"),
        (_manifest(format="another"), r"not one that `hpo export-study` wrote"),
        (_manifest(version=2), r"a newer hpo wrote .*format 2, .* reads 1.*pip install -U hpo-babysitter"),
        (_manifest(written_schema="9999"), r"a newer hpo wrote .*schema 9999"),
        (_manifest(parts=3), r"manifest.json cannot be read"),
        (lambda members: members.update({"manifest.json": b"{"}), r"manifest.json cannot be read"),
    ],
)  # fmt: skip
def test_an_altered_or_newer_file_is_refused(file: Path, full: str, change: Any, message: str) -> None:
    _rewrite(file, change)
    before = views(full, "everything")
    with pytest.raises(StudyExportError, match=message):
        import_study(full, file, "again")
    assert views(full, "everything") == before
    with ResultsStore(full) as store, store.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM studies")) == 2


def test_a_file_of_an_older_schema_lacks_the_newer_columns(file: Path, new_database: NewDatabase) -> None:
    def older(members: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in members["hpo_attempt.jsonl"].splitlines()]
        for row in rows:
            for name in ("processor", "threads", "precision", "code_version", "package_versions"):
                del row[name]
        members["hpo_attempt.jsonl"] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        _resign(members, "0002")

    _rewrite(file, older)
    import_study(url := new_database("sqlite"), file)
    assert {row["code_version"] for row in views(url, "everything")["attempts"]} == {None}


def test_rows_that_no_database_takes_are_refused(file: Path, here: str) -> None:
    """A file whose checksums were made again after it was changed."""

    def nonsense(members: dict[str, bytes]) -> None:
        members["hpo_slot.jsonl"] = members["hpo_slot.jsonl"].replace(b'"done"', b'"dona"')
        _resign(members, json.loads(members["manifest.json"])["written_schema"])

    _rewrite(file, nonsense)
    with pytest.raises(StudyExportError, match="has rows that the database refuses"):
        import_study(here, file)
    expect_nothing_of_it(here)


def _resign(members: dict[str, bytes], schema: str) -> None:
    from hashlib import sha256

    manifest = json.loads(members["manifest.json"])
    for name, part in manifest["parts"].items():
        part.update(bytes=len(members[name]), sha256=sha256(members[name]).hexdigest())
    members["manifest.json"] = json.dumps({**manifest, "written_schema": schema}).encode()


def test_a_folder_or_a_missing_file_is_named(tmp_path: Path, here: str) -> None:
    with pytest.raises(StudyExportError, match="Is a directory"):
        import_study(here, tmp_path)
    with pytest.raises(StudyExportError, match="No such file"):
        import_study(here, tmp_path / "missing.zip")
