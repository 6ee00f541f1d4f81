"""A study as a file: from either database into either, and files that must not be imported."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from one_of_everything import fill, make_ours
from optuna.distributions import CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import NullPool, insert, text

from hpo.errors import StudyExportError, UnknownStudyError, UserError
from hpo.queue.leases import claim
from hpo.results import orphans
from hpo.results.engine import writing
from hpo.results.store import ResultsStore
from hpo.results.tables import CandidateRow, DecisionRow, RungRow, StageRow
from hpo.results.transfer import exporting, importing, our_part
from hpo.results.transfer.archive import open_archive
from hpo.results.transfer.exporting import export_study
from hpo.results.transfer.importing import import_study
from hpo.results.url import parse_url
from hpo.results.view_sql import VIEWS

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
NewDatabase = Callable[[str], str]


@pytest.fixture(params=ENGINES)
def there(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """The database that a study comes from."""
    url = new_database(request.param)
    with ResultsStore(url) as store:
        fill(store)
        _add_a_stage(store)
    return url


def _add_a_stage(store: ResultsStore) -> None:
    """What a study with stages has besides, for the study `everything`."""
    with writing(store.engine) as connection:
        trial_id, study_id = connection.execute(
            text(
                "SELECT min(t.trial_id), t.study_id FROM hpo_trial AS t JOIN hpo_study AS s "
                "ON s.study_id = t.study_id WHERE s.name = 'everything' GROUP BY t.study_id"
            )
        ).one()
        key = {"study_id": study_id, "stage": "main"}
        searched = {"position": 1, "kind": "search", "trials": 8, "space": {"lr": {"log": [0.01, 1.0]}}}
        connection.execute(insert(StageRow).values(**key, **searched, fixed={}, made_at=datetime(2026, 1, 2)))
        decided = {"subject": "lr", "action": "narrowed", "message": "lr: 3 of 8", "evidence": {"best": 3}}
        connection.execute(insert(DecisionRow).values(**key, position=1, **decided))
        confirmed = {"candidate": 0, "trial_id": trial_id, "search_value": 0.5, "runs": 2, "mean": 0.45}
        connection.execute(insert(CandidateRow).values(**key, **confirmed, completed=2, rank=1))
        rung = {"trial_id": trial_id, "epoch": 1, "bracket": 0, "epochs": 3, "score": 0.3}
        passed = {"rank": 1, "compared": 2, "decision": "goes_on", "reason": "rank 1 of 2 at epoch 1"}
        connection.execute(insert(RungRow).values(**key, **rung, **passed))


@pytest.fixture(params=ENGINES)
def here(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """The database that it goes to, with a study of its own, so that ids differ."""
    url = new_database(request.param)
    with ResultsStore(url) as store:
        make_ours(store, "already-here")
    return url


@pytest.fixture
def full(new_database: NewDatabase) -> str:
    """An SQLite database with both studies."""
    url = new_database("sqlite")
    with ResultsStore(url) as store:
        fill(store)
    return url


@pytest.fixture
def file(tmp_path: Path, full: str) -> Path:
    """The study `everything` as a file."""
    return write_file(full, "everything", tmp_path)


def write_file(url: str, study: str, folder: Path) -> Path:
    path = folder / f"{study}.zip"
    with path.open("wb") as stream:
        export_study(url, study, stream)
    return path


@contextmanager
def optuna_storage(url: str) -> Iterator[RDBStorage]:
    location = parse_url(url).render_as_string(hide_password=False)
    storage = RDBStorage(location, engine_kwargs={"poolclass": NullPool})
    yield storage
    storage.engine.dispose()


def views(url: str, study: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a study in every view, in the values that both databases have."""
    rows: dict[str, list[dict[str, Any]]] = {}
    with ResultsStore(url) as store, store.engine.connect() as connection:
        for view in VIEWS:
            found = connection.execute(text(f"SELECT * FROM {view} WHERE study = :study"), {"study": study})
            values = [{name: _common(value) for name, value in row._mapping.items()} for row in found]
            rows[view] = sorted((_without_engine(row) for row in values), key=_order)
    return rows


def _order(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _without_engine(row: dict[str, Any]) -> dict[str, Any]:
    """Ids, and how many digits of a number the engine writes."""
    text_of_number = row.get("value_number") is not None
    row = {name: value for name, value in row.items() if name not in ("trial_id", "study_id")}
    return {**row, **({"value_text": None} if text_of_number else {})}


def _common(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:.*", value):
        return datetime.fromisoformat(value).isoformat()
    return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value


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
        before[view].sort(key=_order)
    (lost,) = (row for row in after["attempts"] if (row["number"], row["attempt"]) == (4, 2))
    (open_,) = (row for row in before["attempts"] if (row["number"], row["attempt"]) == (4, 2))
    assert (lost["outcome"], lost["to_epoch"], lost["ended"]) == ("lost", 1, None)
    open_.update(outcome="lost", to_epoch=1)
    before["attempts"].sort(key=_order)


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
        (row,) = archive.lines("hpo_study.jsonl")
    assert (json.loads(row)["name"], json.loads(row)["spec"]["study"]) == ("renamed", "renamed")


def test_the_slot_that_was_running_is_claimed_first_and_goes_on(file: Path, here: str) -> None:
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
    with pytest.raises(UserError, match="cannot be named 'a b'"):
        import_study(here, file, "a b")
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
    _expect_nothing_of_it(here)


def _expect_nothing_of_it(url: str) -> None:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        assert connection.scalars(text("SELECT study_name FROM studies")).all() == ["already-here"]
        assert connection.scalars(text("SELECT DISTINCT study FROM results")).all() == ["already-here"]
        assert connection.scalar(text("SELECT count(*) FROM trials")) == 6


def test_wherever_a_file_is_cut_short_it_is_refused(file: Path, here: str) -> None:
    whole = file.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(StudyExportError, match="is cut short, altered or no study file"):
            import_study(here, file)
    _expect_nothing_of_it(here)


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
        (_manifest(version=2), r"a newer hpo wrote .*format 2, this hpo reads 1.*pip install -U hpo"),
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
    _expect_nothing_of_it(here)


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
