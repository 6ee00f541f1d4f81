"""Studies whose validation images are given, whole groups or the latest: from the file to what is stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select, text

from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.data.split import split, split_key
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.trials import study_results
from hpo.errors import ConfigurationError, DataError, StudyChangedError, StudyFileError, UserError
from hpo.rng import Key
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.storage.tables import StageRow, StudyRow
from hpo.training.study_images import choose_images, load_chosen_images, load_registered_images
from hpo.workers.submit import submit_study

STAGES = "stages: [{name: half, trials: 2, data: 0.5}, {name: all, trials: 2}]"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with ResultsStore(f"sqlite:///{tmp_path / 'hpo.db'}") as opened:
        yield opened


def draw(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(list(str(folder).encode()))
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{number}.png")


def study(root: Path, more: str = "", fixed: str = "", trials: str = "trials: 2") -> StudySpec:
    images = f"dataset: folder, data_root: {root}, image_size: 8, channels: 1, batch_size: 4{fixed}"
    return parse_study(
        f"study: s\n{trials}\n{more}\nfixed: {{{images}}}\nspace: {{lr: {{log: [1e-3, 0.1]}}}}\n", "s.yaml"
    )


def stored(store: ResultsStore) -> Any:
    return store.read(lambda connection: connection.execute(select(StudyRow.__table__)).one())


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Cats and dogs: 10 and 6 to train on, 5 and 3 for validation, 4 each for test."""
    root = tmp_path / "pets"
    for split_name, cats, dogs in (("train", 10, 6), ("val", 5, 3), ("test", 4, 4)):
        draw(root / split_name / "cat", cats)
        draw(root / split_name / "dog", dogs)
    return root


def test_a_given_split_is_what_is_stored_and_judged_by(store: ResultsStore, three: Path) -> None:
    submitted = submit_study(store, study(three, trials=STAGES))
    row = stored(store)
    assert (row.validation, row.val_class_counts, row.class_counts) == ("given", [5, 3], [15, 9])
    assert "16 train, 8 validation, 8 test" in submitted.origin and submitted.warnings == ()
    half = store.read(lambda connection: connection.execute(select(StageRow.train_images)).scalar_one())
    assert half == 8  # of the 16, not of all 24
    results = study_results(store.engine, "s")
    assert (results.val_images, results.val_class_counts) == (8, (5, 3))


def test_a_given_split_is_neither_trained_on_nor_drawn(three: Path) -> None:
    spec = study(three)
    dataset = load_chosen_images(spec, choose_images(spec))
    parts = split(
        dataset.train_labels, dataset.classes, 0.1, None, split_key(Key(0)), division=dataset.division
    )
    val = [np.asarray(Image.open(path)) for path in sorted((three / "val").glob("*/*.png"))]
    assert np.array_equal(dataset.train_images[parts.val][:, 0], np.stack(val))
    trained = {each.tobytes() for each in dataset.train_images[parts.train]}
    assert len(trained) == 16 and trained.isdisjoint(each.tobytes() for each in val)


def test_a_study_from_before_resumes_without_the_given_split(store: ResultsStore, three: Path) -> None:
    spec = study(three)
    submit_study(store, spec.model_copy(update={"validation": "drawn"}))
    before = stored(store)
    store.write(
        lambda connection: connection.execute(  # as the migration leaves it, with a spec without the keys
            text("UPDATE hpo_study SET spec = json_remove(spec, '$.validation', '$.groups', '$.order')")
        )
    )
    submitted = submit_study(store, spec)
    assert any("val is not used" in each for each in submitted.warnings)
    found = find_registered(store.engine, "s")
    assert found is not None and not found.given_validation
    assert load_registered_images(found).fingerprint == before.dataset_fingerprint
    assert stored(store).validation == "drawn" and stored(store).val_class_counts is None


def test_a_study_goes_on_with_the_given_split_it_began_with(store: ResultsStore, three: Path) -> None:
    submit_study(store, study(three))
    Image.new("L", (8, 8), 7).save(three / "val" / "cat" / "new.png")
    with pytest.raises(StudyChangedError, match="with a different data set"):
        submit_study(store, study(three))
    for path in (three / "val").glob("*/*"):
        path.unlink()
    for path in sorted((three / "val").glob("**"), reverse=True):
        path.rmdir()
    with pytest.raises(DataError, match="validation: given, but there is no folder of validation images"):
        submit_study(store, study(three))


def test_settings_without_effect_are_told_or_refused(store: ResultsStore, three: Path) -> None:
    submitted = submit_study(store, study(three, fixed=", val_fraction: 0.3"))
    (warning,) = submitted.warnings
    assert warning.startswith("val_fraction has no effect: the images come with a validation split")
    searched = parse_study(
        f"study: t\ntrials: 2\nfixed: {{dataset: folder, data_root: {three}, image_size: 8}}\n"
        "space: {val_fraction: {uniform: [0.1, 0.3]}}\n",
        "t.yaml",
    )
    with pytest.raises(ConfigurationError, match="val_fraction cannot be searched: the images come with"):
        submit_study(store, searched)
    folds = study(three, trials="stages: [{name: a, trials: 2}, {name: b, confirm: {top: 1, folds: 2}}]")
    with pytest.raises(ConfigurationError, match="stage b: folds: 2 would train on images of the validation"):
        submit_study(store, folds.model_copy(update={"study": "u"}))


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    for patient in range(10):
        for name in ("ill", "well"):
            draw(root / name / f"p{patient}", 3 + patient % 2)
    return root


def test_groups_hold_in_validation_and_in_test(store: ResultsStore, patients: Path) -> None:
    spec = study(patients, "groups: folder", ", val_fraction: 0.2")
    submitted = submit_study(store, spec)
    row = stored(store)
    assert row.validation == "groups" and sum(row.val_class_counts) == row.val_class_counts[0] * 2
    assert "2 of 9 groups" in submitted.origin and "2 of 9 groups" in row.dataset_origin
    assert "so whole groups, 11% of the images, were held out" in row.dataset_origin
    found = find_registered(store.engine, "s")
    assert found is not None
    division = load_registered_images(found).division
    assert division.known is not None
    assert set(division.known.train.numbers).isdisjoint(division.known.test.numbers)


def test_names_of_any_bytes_can_be_times_and_are_told(store: ResultsStore, three: Path) -> None:
    odd = os.fsdecode(b"-\xff.png")
    for path in sorted((three / "train").glob("*/*.png")):
        path.with_name(path.stem + odd).write_bytes(path.read_bytes())
        (three / "test" / path.parent.name / odd).write_bytes(path.read_bytes())
    submitted = submit_study(store, study(three, "order: name\nvalidation: drawn", ", val_fraction: 0.4"))
    assert "the latest: " in stored(store).dataset_origin and submitted.origin.isprintable()
    (finding, *_) = study_findings(study_results(store.engine, "s"))
    assert finding.check == "leak"
    assert f"{finding.message} {finding.evidence} {submitted.origin}".encode()  # no lone surrogates


def test_other_groups_are_other_data(store: ResultsStore, patients: Path) -> None:
    spec = study(patients, "groups: folder", ", val_fraction: 0.2")
    submit_study(store, spec)
    for path in sorted((patients / "ill" / "p1").iterdir()):
        path.rename(patients / "ill" / "p2" / f"x{path.name}")
    with pytest.raises(StudyChangedError, match="with a different data set"):
        submit_study(store, spec)
    with pytest.raises(StudyChangedError, match='groups: "folder" -> null'):
        submit_study(store, study(patients, "", ", val_fraction: 0.2"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("groups: '(x)_'", r"groups: '\(x\)_' matches none of 70 images, such as ill/p0/0.png"),
        ("groups: '^(ill|well)'", "no image of class ill is held out|a tenth of the images"),
        ("groups: patient", "groups: 'patient' is unknown: use folder, or a pattern"),
        ("order: folder", "order: 'folder' is unknown: use name"),
        ("validation: given", "validation: given, but there is no folder of validation images"),
    ],
)
def test_rules_that_do_not_fit_are_refused_at_submission(
    store: ResultsStore, patients: Path, more: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        submit_study(store, study(patients, more, ", val_fraction: 0.2"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("groups: '(a)(b)'", "needs one part in parentheses, and has 2"),
        ("groups: '(a'", "is not a regular expression"),
        ("groups: ''", "groups"),
        ("validation: gven", "given"),
    ],
)
def test_rules_that_can_never_work_are_refused_with_their_line(more: str, message: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        study(Path("/"), more)
    assert message in str(caught.value) and ":3:" in str(caught.value)


@pytest.mark.parametrize(
    ("text_", "message"),
    [
        ("groups: folder\nfixed: {dataset: digits}\nspace: {lr: {log: [1e-3, 1]}}", "digits has no groups"),
        ("order: name\nfixed: {}\nspace: {lr: {log: [1e-3, 1]}}", "dataset: auto has no groups"),
        ("validation: given\nfixed: {dataset: mnist}\nspace: {lr: {log: [1e-3, 1]}}", "without a validation"),
        (
            "groups: folder\nfixed: {dataset: table, data_root: x}\n"
            "space: {val_fraction: {uniform: [0.1, 0.2]}}",
            "val_fraction is searched",
        ),
        ("groups: folder\ntrainer: mine:run\nspace: {lr: {log: [1e-3, 1]}}", "is for hpo's own training"),
    ],
)
def test_rules_that_do_not_fit_the_study_are_refused(text_: str, message: str) -> None:
    with pytest.raises(StudyFileError, match=message):
        parse_study(f"study: s\ntrials: 2\n{text_}\n", "s.yaml")


def test_the_latest_rows_of_a_table_validate(store: ResultsStore, tmp_path: Path) -> None:
    draw(tmp_path / "images", 20)
    days = [(7 * number) % 20 + 1 for number in range(20)]
    rows = [f"{number}.png,{'ab'[day % 2]},2024-01-{day}" for number, day in enumerate(days)]
    table = tmp_path / "images" / "t.csv"
    table.write_text("\n".join(["path,label,taken", *rows]))
    spec = parse_study(
        f"study: s\ntrials: 1\norder: taken\nfixed: {{dataset: table, data_root: {table}, image_size: 8, "
        "batch_size: 4, val_fraction: 0.25}\nspace: {lr: {log: [1e-3, 0.1]}}\n",
        "s.yaml",
    )
    origin = submit_study(store, spec).origin
    assert "18 train, 2 test; no test images, so the latest, 10% of the images, were held out" in origin
    assert "the latest: 2024-01-15 to 2024-01-18, after 2024-01-14" in origin
    assert (stored(store).validation, stored(store).val_class_counts) == ("order", [2, 2])
