"""Which folders are splits and which are classes; what is said about those that are neither."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from hpo.config.division import DivisionRules
from hpo.data.cache import Source
from hpo.data.folder import FOLDER_HELP, folder_source
from hpo.data.layout import class_folders, find_layout
from hpo.errors import DataError

_DRAWN = DivisionRules("drawn")


def make(root: Path, *folders: str, images: int = 3) -> Path:
    """Write image files, which are listed but never opened."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(images):
            (root / folder / f"{i}.png").touch()
    return root


def in_classes(*splits: str) -> list[str]:
    return [f"{split}/{name}" for split in splits for name in ("cat", "dog")]


def counts(source: Source) -> str:
    return source.origin.partition("(")[2].rstrip(")")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("Training", "Testing"),
        ("TRAINING", "test"),
        ("training_set", "test_set"),
        ("trainset", "testset"),
        ("train-images", "test images"),
        ("train1", "test1"),
        ("seg_train", "seg_test"),
        ("birds train", "birds test"),
        ("trainval", "holdout"),
    ],
)
def test_splits_are_told_by_their_names(tmp_path: Path, train: str, test: str) -> None:
    source = folder_source(make(tmp_path, *in_classes(train, test)))
    assert source.classes == ("cat", "dog")
    assert counts(source) == "6 train, 6 test"
    assert source.warnings == ()


@pytest.mark.parametrize(
    ("folders", "place"),
    [
        (in_classes("images/train", "images/Test"), "images"),
        (in_classes("dataset/Train", "dataset/testing"), "dataset"),
        (in_classes("birds 2024/training_set", "birds 2024/test_set"), "birds 2024"),
        (in_classes("ILSVRC/Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/test"), "ILSVRC/Data/CLS-LOC"),
        (in_classes("train/train", "test/test"), ""),
        (in_classes("train/images", "test"), ""),
        (in_classes("data/images/train", "data/images/test"), "data/images"),
    ],
)
def test_splits_may_be_deeper(tmp_path: Path, folders: list[str], place: str) -> None:
    source = folder_source(make(tmp_path, *folders))
    assert source.classes == ("cat", "dog")
    assert counts(source) == "6 train, 6 test"
    assert source.origin.startswith(f"images in {tmp_path / place} (")


def test_splits_may_be_beside_folders_without_images(tmp_path: Path) -> None:
    make(tmp_path / "data", *in_classes("train", "test"))
    make(tmp_path, "notes", images=0)
    assert counts(folder_source(tmp_path)) == "6 train, 6 test"
    make(tmp_path, "notes")
    with pytest.raises(DataError, match="data has the splits train, test, which would be mixed"):
        folder_source(tmp_path)


@pytest.mark.parametrize("place", ["images", "Dataset", "ROOT"])
def test_classes_may_be_in_a_folder_that_says_nothing(tmp_path: Path, place: str) -> None:
    root = make(tmp_path / "ROOT", *in_classes(place))
    assert folder_source(root).classes == ("cat", "dog")
    assert folder_source(root).origin.startswith(f"images in {root / place} (")


@pytest.mark.parametrize("folders", [["test"], ["test/unknown"], ["test/images"]])
def test_test_images_without_labels_are_not_used(tmp_path: Path, folders: list[str]) -> None:
    """Competitions keep the labels of their test images."""
    source = folder_source(make(tmp_path, *in_classes("train"), *folders))
    assert counts(source).startswith("4 train, 2 test; no test images")
    (warning,) = source.warnings
    assert warning.startswith(f"{tmp_path}/test is not used: its images are not in folders of the classes")


def test_a_test_split_may_have_one_of_the_classes(tmp_path: Path) -> None:
    source = folder_source(make(tmp_path, *in_classes("train"), "test/cat"))
    assert counts(source) == "6 train, 3 test"
    assert source.warnings == (f"the test images in {tmp_path}/test have no dog",)


def test_class_names_that_differ_in_case_are_a_warning(tmp_path: Path) -> None:
    (warning,) = folder_source(make(tmp_path, "Cat", "cat", "dog")).warnings
    assert warning.startswith("the names of the classes 'Cat' and 'cat' differ only in case or blanks")


@pytest.mark.parametrize(
    "folders", [("images/train", "images/val", "labels/train"), ("train/images", "train/labels")]
)
def test_images_with_boxes_are_refused(tmp_path: Path, folders: tuple[str, ...]) -> None:
    make(tmp_path, *folders[:-1])
    make(tmp_path, folders[-1], images=0)
    (tmp_path / folders[-1] / "0.txt").write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match="has images and a text file of boxes for each"):
        folder_source(tmp_path)


def test_classes_in_the_names_of_files_are_told(tmp_path: Path) -> None:
    for name in ("cat.0.jpg", "cat.1.jpg", "dog.0.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"3 loose images: .* \(their names begin with cat, dog\), or list"):
        folder_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("a b.zip", "unzip 'ROOT/a b.zip' -d 'ROOT/a b'"),
        ("a.tar.gz", "mkdir ROOT/a && tar -xf ROOT/a.tar.gz -C ROOT/a"),
    ],
)
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        folder_source(tmp_path / name)
    assert f"is an archive: unpack it ({command.replace('ROOT', str(tmp_path))})" in str(caught.value)


@pytest.mark.parametrize("name", ["train", "Training", "train_data", "trainval"])
def test_training_folder_alone_holds_out_test_images(tmp_path: Path, name: str) -> None:
    source = folder_source(make(tmp_path, *in_classes(name)))
    assert source.classes == ("cat", "dog")
    assert counts(source).startswith("4 train, 2 test; no test images")


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "eval", "val_set", "dev"])
def test_validation_folder_validates(tmp_path: Path, name: str) -> None:
    source = folder_source(make(tmp_path, *in_classes("train", "test", name)))
    assert counts(source) == "6 train, 6 validation, 6 test"
    assert (source.count, source.division.given, source.warnings) == (18, 6, ())


@pytest.mark.parametrize("name", ["val", "dev"])
def test_validation_folder_of_validation_drawn_is_unused(tmp_path: Path, name: str) -> None:
    source = folder_source(make(tmp_path, *in_classes("train", "test", name)), rules=_DRAWN)
    assert (counts(source), source.division.given) == ("6 train, 6 test", 0)
    assert source.warnings == (
        f"{tmp_path / name} is not used: hpo draws validation images from train (val_fraction). "
        "Move its images into train to train on them",
    )


def test_validation_without_test_folder_may_be_renamed(tmp_path: Path) -> None:
    (warning,) = folder_source(make(tmp_path, *in_classes("train", "val")), rules=_DRAWN).warnings
    assert warning.endswith(", or rename it test to measure the best network on it")


def test_class_folders_beside_train_are_reported(tmp_path: Path) -> None:
    source = folder_source(make(tmp_path, *in_classes("train", "test"), "eel", "extra"))
    assert source.warnings == (f"not used, as they are beside {tmp_path}/train: eel, extra",)


def test_system_folders_are_no_classes(tmp_path: Path) -> None:
    make(tmp_path, *in_classes("train"), "__MACOSX", "train/@eaDir", "train/$RECYCLE.BIN", "train/.git")
    make(tmp_path, "train/__MACOSX", "train/lost+found", images=0)
    source = folder_source(tmp_path)
    assert (source.classes, source.warnings) == (("cat", "dog"), ())


@pytest.mark.parametrize(
    "classes",
    [
        ("car", "plane", "train"),
        ("invalid", "valid"),
        ("crash test", "train station"),
        ("test tube", "bottle"),
        ("dev", "ops"),
        ("contest", "trainer", "valley"),
    ],
)
def test_class_names_with_words_of_splits_stay_classes(tmp_path: Path, classes: tuple[str, ...]) -> None:
    assert folder_source(make(tmp_path, *classes)).classes == tuple(sorted(classes))


@pytest.mark.parametrize("classes", [("train", "car"), ("valid", "invalid", "test")])
def test_any_class_name_can_be_used_inside_train(tmp_path: Path, classes: tuple[str, ...]) -> None:
    source = folder_source(make(tmp_path, *(f"train/{name}" for name in classes)))
    assert source.classes == tuple(sorted(classes))


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (in_classes("Train", "train"), "has 2 folders of train images (Train, train): keep one"),
        (in_classes("train", "test", "Testing"), "has 2 folders of test images (Testing, test): keep one"),
        (["cat", "dog", "test"], "has test, but no folder train: move the class folders (cat, dog) into"),
        (["cat", "dog", *in_classes("val")], "has val, but no folder train: move the class folders"),
        (in_classes("test", "val"), "has val, test, but no folder train: rename the one with the training"),
        (in_classes("a/b"), "has only one folder, a/b, with cat, dog in it: if those"),
        (in_classes("a"), "are the classes or the splits, use data_root: ROOT/a"),
        (in_classes("train/Training", "train/Testing"), "place of classes: use data_root: ROOT/train"),
        (
            ["cat/train", "cat/val", "dog/train", "dog/val"],
            "put the split first, as in train/cat and test/cat",
        ),
        (
            ["cats_train", "cats_test", "dogs_train", "dogs_test"],
            "has 2 folders of train images (cats_train, ",
        ),
    ],
)
def test_unclear_layouts_are_refused_with_a_remedy(tmp_path: Path, folders: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        folder_source(make(tmp_path, *folders))
    assert message.replace("ROOT", str(tmp_path)) in str(caught.value)
    assert FOLDER_HELP not in str(caught.value)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ["train", "test"],
            "train has no class folders, only 3 loose images: put images in one folder per class, or list "
            "them in a table with the columns path and label (dataset: table)",
        ),
        (["train/cat"], "train has only one class (cat); a classifier needs two or more"),
    ],
)
def test_expected_layout_is_shown_where_it_helps(tmp_path: Path, folders: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        folder_source(make(tmp_path, *folders))
    assert f"{message}\n{FOLDER_HELP}" in str(caught.value)


@pytest.mark.parametrize("folders", [in_classes("one", "two"), ["one/cat", "two/cat", "two/dog", "x/dog"]])
def test_same_subfolders_of_all_classes_are_a_warning(tmp_path: Path, folders: list[str]) -> None:
    (warning,) = folder_source(make(tmp_path, *folders)).warnings
    assert warning.startswith(f"the class folders of {tmp_path} (one, two")
    assert "hold only folders, with the same names (cat, dog). If those are the classes, put" in warning
    assert warning.endswith(f"their images in {tmp_path}/cat or {tmp_path}/train/cat and so on")


def test_same_subfolders_within_train_are_a_warning(tmp_path: Path) -> None:
    (warning,) = folder_source(make(tmp_path, *in_classes("train/2020", "train/2021"))).warnings
    assert warning.endswith(f"put their images in {tmp_path}/train/cat and so on")


@pytest.mark.parametrize(
    "folders",
    [
        ["cat/images", "dog/images"],  # as in Tiny ImageNet
        ["fruit/apple", "fruit/pear", "vegetable/leek"],
        ["cat", "cat/old", "dog/old"],
    ],
)
def test_subfolders_that_are_not_classes_are_no_warning(tmp_path: Path, folders: list[str]) -> None:
    assert folder_source(make(tmp_path, *folders)).warnings == ()


def test_links_in_a_circle_are_one_class(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "again").symlink_to(".")
    with pytest.raises(DataError, match=r"has only one class \(data\)"):
        folder_source(tmp_path)


def test_train_and_test_differ_in_both_directions(tmp_path: Path) -> None:
    make(tmp_path, *in_classes("train", "test"), "train/Eel", "test/eel")
    with pytest.raises(DataError) as caught:
        folder_source(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/test has the class eel, which {tmp_path}/train does not have: rename it as there (Eel), "
        "add training images of it, or remove it"
    )


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_unicode_forms_of_a_class_name_are_one_class(tmp_path: Path, forms: tuple[str, str]) -> None:
    """macOS's archives have names in decomposed form, and other tools write the composed one."""
    for split, form in zip(("train", "test"), forms, strict=True):
        make(tmp_path, f"{split}/{unicodedata.normalize(form, 'café')}", f"{split}/cafz")  # type: ignore[arg-type]
    source = folder_source(tmp_path)
    assert source.classes == ("cafz", "caf\u00e9")
    assert counts(source) == "6 train, 6 test"


def test_two_unicode_forms_in_one_split_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "caf\u00e9", "cafe\u0301", "tea")
    with pytest.raises(
        DataError, match=r"two folders of the class café.*'cafe\\u0301', 'caf\\xe9'.*rename one"
    ):
        folder_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("b\nr", r"the class folder 'b\nr' in ROOT has a control character: rename it"),
        ("b\x1b[31mr", r"the class folder 'b\x1b[31mr' in ROOT has a control character: rename it"),
        ("b\u202er", r"the class folder 'b\u202er' in ROOT has a control character: rename it"),
        (os.fsdecode(b"b\xe9r"), r"the class folder b'b\xe9r' in ROOT is not UTF-8: rename it"),
    ],
)
def test_names_that_cannot_be_shown_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        folder_source(make(tmp_path, name, "tea"))
    assert str(caught.value) == message.replace("ROOT", str(tmp_path))


def test_a_root_that_is_not_utf8_is_described_in_utf8(tmp_path: Path) -> None:
    root = make(tmp_path / os.fsdecode(b"caf\xe9"), "cat", "dog")
    assert r"/caf\xe9 (" in folder_source(root).origin


def test_layout_of_a_folder_with_classes_is_the_folder_itself(tmp_path: Path) -> None:
    layout = find_layout(make(tmp_path, "cat", "dog"))
    assert (layout.train, layout.test) == (tmp_path, None)
    assert class_folders(tmp_path) == {"cat": tmp_path / "cat", "dog": tmp_path / "dog"}
