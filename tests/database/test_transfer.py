"""A study as a file: from either database into either, and files that must not be imported."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial
from sqlalchemy import text

from hpo.errors import StudyExportError, UnknownStudyError, UserError
from hpo.maintenance.transfer import exporting, importing, our_part
from hpo.maintenance.transfer.archive import open_archive
from hpo.maintenance.transfer.exporting import export_study
from hpo.maintenance.transfer.importing import import_study
from hpo.queue.leases import claim
from hpo.storage import orphans
from hpo.storage.store import ResultsStore
from hpo.storage.views import VIEWS
from tests.conftest import NewDatabase
from tests.helpers.moving_studies import expect_nothing_of_it, in_order, optuna_storage, views, write_file
from tests.helpers.one_of_everything import make_ours


def optunas(url: str, study: str) -> list[Any]:
    """The study through Optuna's API; as text, in which NaN equals itself."""
    with optuna_storage(url) as storage:
        loaded = optuna.load_study(study_name=study, storage=storage)
        about = [repr(loaded.directions), repr({**loaded.user_attrs, orphans.UID_ATTRIBUTE: None})]
        attributes = storage.get_study_system_attrs(loaded._study_id)
        return [
            *about,
            repr(attributes),
            *(_without_id(trial) for trial in loaded.get_trials(deepcopy=False)),
        ]


def _without_id(trial: FrozenTrial) -> str:
    unordered = ("_user_attrs", "_system_attrs", "intermediate_values")
    values = {**vars(trial), "_trial_id": None}
    return repr({name: sorted(each.items()) if name in unordered else each for name, each in values.items()})


@pytest.mark.parametrize("study", ["everything", "theirs"])
def test_every_view_and_optunas_part_are_the_same_after_the_move(
    there: str, here: str, tmp_path: Path, study: str
) -> None:
    before, optuna_before, beside = views(there, study), optunas(there, study), views(here, "already-here")
    assert all(before[view] for view in (VIEWS if study == "everything" else ["params"]))
    moved = import_study(here, write_file(there, study, tmp_path))
    assert moved.running == (1 if study == "everything" else 0)
    after = views(here, study)
    _expect_released(after, before) if study == "everything" else None
    assert after == before
    assert optunas(here, study) == optuna_before
    assert views(here, "already-here") == beside
    assert views(there, study) == before or study == "everything"


def _expect_released(after: dict[str, list[dict[str, Any]]], before: dict[str, list[dict[str, Any]]]) -> None:
    """The one slot that a worker held waits here, its attempt closed; put it back to compare the rest."""
    for view in ("hpo_known_trial", "results"):
        (waits,) = (row for row in after[view] if row["number"] == 4)
        (ran,) = (row for row in before[view] if row["number"] == 4)
        assert (waits["state"], ran["state"]) == ("waiting", "running")
        ran["state"] = "waiting"
        before[view].sort(key=in_order)
    (lost,) = (row for row in after["attempts"] if (row["number"], row["attempt"]) == (4, 2))
    (open_,) = (row for row in before["attempts"] if (row["number"], row["attempt"]) == (4, 2))
    assert (lost["outcome"], lost["to_epoch"], lost["ended"]) == ("lost", 1, None)
    open_.update(outcome="lost", to_epoch=1)
    before["attempts"].sort(key=in_order)


def test_there_and_back_under_another_name(there: str, here: str, tmp_path: Path) -> None:
    import_study(here, write_file(there, "everything", tmp_path), "renamed")
    back = write_file(here, "renamed", tmp_path)
    import_study(there, back, "back")
    renamed, returned = views(here, "renamed"), views(there, "back")
    for rows in (*renamed.values(), *returned.values()):
        for row in rows:
            row["study"] = ""
    assert returned == renamed
    with open_archive(back) as archive:
        (line,) = archive.lines("hpo_study.jsonl")
    assert (json.loads(line)["name"], json.loads(line)["spec"]["study"]) == ("renamed", "renamed")


def test_the_slot_that_was_running_is_claimed_first_and_resumed(file: Path, here: str) -> None:
    import_study(here, file)
    with ResultsStore(here) as store, store.engine.connect() as connection:
        find = text("SELECT study_id FROM hpo_study WHERE name = 'everything'")
        lease = claim(store, connection.scalar(find), "host:2:0.00", 60.0)
    assert lease is not None
    assert (lease.slot, lease.epoch) == (4, 1)
    assert lease.trial_id is not None


def test_a_study_deleted_with_optunas_tools_can_be_imported_again(file: Path, here: str) -> None:
    import_study(here, file)
    first = views(here, "everything")
    with optuna_storage(here) as storage:
        optuna.delete_study(study_name="everything", storage=storage)
    import_study(here, file)
    assert views(here, "everything") == first


def test_a_name_that_is_taken_is_refused_with_what_to_do(file: Path, here: str) -> None:
    before = views(here, "already-here")
    with pytest.raises(UserError, match=r"already has a study already-here.*--as NAME"):
        import_study(here, file, "already-here")
    for name in ("a b", "ends\n"):
        with pytest.raises(UserError, match=re.escape(f"{name!r} is not a valid study name")):
            import_study(here, file, name)
    assert views(here, "already-here") == before


def test_a_study_that_is_not_there_is_named(there: str) -> None:
    with pytest.raises(UnknownStudyError, match=r"no study everythin .*did you mean everything\?"):
        export_study(there, "everythin", io.BytesIO())


def test_a_file_has_one_instant_of_the_study(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker finishes an epoch, and another study a trial, while the file is being written."""
    read = our_part.read_rows

    def read_and_disturb(connection: Any, table: Any, *arguments: Any) -> Any:
        if table.name == "hpo_epoch":
            with ResultsStore(there) as store:
                store.engine.dispose()
                make_ours(store, "meanwhile")
                with store.engine.begin() as other:
                    other.execute(text("UPDATE hpo_epoch SET val_accuracy = 0.99"))
        return read(connection, table, *arguments)

    before = views(there, "everything")["curves"]
    monkeypatch.setattr(our_part, "read_rows", read_and_disturb)
    with open_archive(write_file(there, "everything", tmp_path)) as archive:
        epochs = [json.loads(line) for line in archive.lines("hpo_epoch.jsonl")]
    assert sorted(str(row["val_accuracy"]) for row in epochs) == sorted(
        str(row["val_accuracy"]) for row in before
    )
    assert {row["val_accuracy"] for row in views(there, "everything")["curves"]} == {0.99}


def test_an_import_that_does_not_read_back_writes_nothing(
    file: Path, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = our_part.write_rows

    def lose_a_digit(connection: Any, table: Any, study_id: int, ids: Any, rows: Any, blob: Any) -> None:
        worse = ({**row, "val_loss": 2.0} if table.name == "hpo_epoch" else row for row in rows)
        write(connection, table, study_id, ids, worse, blob)

    monkeypatch.setattr(our_part, "write_rows", lose_a_digit)
    with pytest.raises(StudyExportError, match=r"hpo_epoch.jsonl, val_loss: 2.3 became 2.0"):
        import_study(here, file)
    expect_nothing_of_it(here)


def test_the_file_is_read_without_hpo(file: Path) -> None:
    """With what Python has: JSON in a zip, checksums in the manifest, tensors in safetensors format."""
    from hashlib import sha256

    from safetensors.numpy import load

    with zipfile.ZipFile(file) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        for name, part in manifest["parts"].items():
            assert sha256(opened.read(name)).hexdigest() == part["sha256"]
        trials = [json.loads(line) for line in opened.read("optuna_trials.jsonl").splitlines()]
        statistics = [json.loads(line) for line in opened.read("hpo_statistics.jsonl").splitlines()]
        learned = load(opened.read(f"blobs/{statistics[0]['state']['sha256']}"))
        assert b"safetensors" in opened.read("README.txt")
    assert trials[0]["params"]["lr"]["value"] == 1e-05 * 21
    assert trials[2]["intermediate_values"] == [[1, 0.2], [2, {"$float": "NaN"}]]
    assert set(learned) == {"mean"}


def test_choices_that_optuna_confuses_are_refused(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    with optuna_storage(url) as storage:
        study = optuna.create_study(study_name="confused", storage=storage)
        trial = study.ask({"flag": CategoricalDistribution([1, True])})
        storage.set_trial_param(trial._trial_id, "other", 1, CategoricalDistribution([1, True]))
    with pytest.raises(StudyExportError, match=r"trial 0 has other = True, .*\[1, True\]"):
        export_study(url, "confused", io.BytesIO())


def test_both_hours_of_an_autumn_night_are_kept(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna gives and takes local times; in New York 2026-11-01 has 01:30 twice."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    first, second = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    url = new_database("sqlite")
    try:
        with optuna_storage(url) as storage:
            trial = optuna.create_trial(value=1.0)
            trial.datetime_start, trial.datetime_complete = first.astimezone(), second.astimezone()
            study = optuna.create_study(study_name="night", storage=storage)
            study.add_trial(trial)
        import_study(url, write_file(url, "night", tmp_path), "copy")
        with ResultsStore(url) as store, store.engine.connect() as connection:
            times = connection.execute(text("SELECT datetime_start, datetime_complete FROM trials")).all()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [tuple(row) for row in times] == [("2026-11-01 05:30:00.000000", "2026-11-01 06:30:00.000000")] * 2


def test_the_modules_agree_on_the_parts() -> None:
    tables = {exporting.part_name(table) for table in our_part.TABLES}
    assert {exporting.SLOTS_PART, exporting.STATISTICS_PART} <= tables
    assert {importing._STUDY_TABLE_PART, importing._ATTEMPTS_PART} <= tables
