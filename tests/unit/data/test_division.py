"""Validation images that classes do not decide alone: a given split, whole groups, the latest images."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.config.division import DivisionRules
from hpo.data.division import Division
from hpo.data.hold_out import held_out_rows
from hpo.data.image_keys import Blocks, Named, blocks_from, blocks_of, suspected_groups
from hpo.data.split import Fold, Split, fewest_training_images, split
from hpo.errors import DataError
from hpo.rng import Key

WHOLE = Fold()
CLASSES = ("cat", "dog", "eel")


def groups(*sizes: int) -> Blocks:
    found = blocks_from([f"p{n}" for n, size in enumerate(sizes) for _ in range(size)], None)
    assert found is not None
    return found


def divided(
    labels: np.ndarray, blocks: Blocks, fraction: float = 0.2, seed: int = 0, fold: Fold = WHOLE
) -> Split:
    return split(labels, CLASSES, fraction, None, Key(seed), fold, Division(blocks=blocks))


def patients(count: int, seed: int = 0) -> tuple[np.ndarray, Blocks]:
    """Patients with 3 to 40 images of one or two classes; eels are rare."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 40, count)
    labels = [
        rng.choice([first, (first + 1) % 3], size, p=[0.8, 0.2])
        for first, size in zip(rng.choice(3, count, p=[0.6, 0.3, 0.1]), sizes, strict=True)
    ]
    return np.concatenate(labels), groups(*sizes)


@pytest.mark.parametrize("seed", range(4))
def test_groups_stay_together_and_classes_keep_their_share(seed: int) -> None:
    labels, blocks = patients(60, seed)
    parts = divided(labels, blocks)
    assert not np.intersect1d(blocks.numbers[parts.train], blocks.numbers[parts.val]).size
    assert np.array_equal(np.sort(np.concatenate([parts.train, parts.val])), np.arange(len(labels)))
    shares = np.bincount(labels[parts.val]) / np.bincount(labels)
    assert np.abs(shares - 0.2).max() < 0.02
    assert abs(len(parts.val) / len(labels) - 0.2) < 0.01


def test_groups_are_the_same_for_a_seed_and_others_for_another() -> None:
    labels, blocks = patients(60)
    first, again, other = (divided(labels, blocks, seed=seed).val for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_validation_by_groups_does_not_depend_on_train_images() -> None:
    labels, blocks = patients(40)
    division = Division(blocks=blocks)
    few = split(labels, CLASSES, 0.2, 100, Key(0), division=division)
    whole = split(labels, CLASSES, 0.2, None, Key(0), division=division)
    assert np.array_equal(few.val, whole.val) and len(few.train) == 100
    assert np.isin(few.train, whole.train).all()
    share = np.bincount(labels[few.train]) / 100 - np.bincount(labels[whole.train]) / len(whole.train)
    assert np.abs(share).max() < 0.02
    fewest = fewest_training_images(labels, CLASSES, 0.2, Key(0), division)
    assert set(labels[split(labels, CLASSES, 0.2, fewest, Key(0), division=division).train]) == {0, 1, 2}


def test_groups_of_one_class_each_are_held_out_of_every_class() -> None:
    labels, blocks = np.repeat([0, 1], 20), groups(*[5] * 8)
    for seed in range(6):
        parts = split(labels, CLASSES[:2], 0.2, None, Key(seed), division=Division(blocks=blocks))
        assert np.bincount(labels[parts.val]).tolist() == [5, 5]


def test_folds_of_groups_hold_each_image_out_once() -> None:
    labels, blocks = patients(60)
    folds = [divided(labels, blocks, fold=Fold(4, index)) for index in range(4)]
    assert np.array_equal(np.sort(np.concatenate([each.val for each in folds])), np.arange(len(labels)))
    for each in folds:
        assert not np.intersect1d(blocks.numbers[each.train], blocks.numbers[each.val]).size
        assert np.abs(np.bincount(labels[each.val]) / np.bincount(labels) - 0.25).max() < 0.05


def test_the_latest_images_validate() -> None:
    times = [f"2024-01-{day:02}" for day in (3, 1, 2, 5, 4, 9, 8, 7, 6, 10)]
    blocks = blocks_from(None, times)
    assert blocks is not None and blocks.ordered
    parts = split(np.arange(10) % 2, CLASSES[:2], 0.3, None, Key(0), division=Division(blocks=blocks))
    assert sorted(times[row] for row in parts.val) == ["2024-01-08", "2024-01-09", "2024-01-10"]


def test_images_of_one_time_are_not_divided() -> None:
    blocks = blocks_from(None, ["1"] * 6 + ["2"] * 4)
    assert blocks is not None
    parts = split(np.arange(10) % 2, CLASSES[:2], 0.3, None, Key(0), division=Division(blocks=blocks))
    assert parts.val.tolist() == [6, 7, 8, 9]


@pytest.mark.parametrize(
    ("times", "names"),
    [
        (["frame10", "frame9", "frame100"], ("frame9", "frame10", "frame100")),
        (["10", "9.5", "-3"], ("-3", "9.5", "10")),
        (["2024_12", "2025_1", "2024_2"], ("2024_2", "2024_12", "2025_1")),
        (["2024-02-01", "2023-12-31", "2024-01-15"], ("2023-12-31", "2024-01-15", "2024-02-01")),
    ],
)
def test_times_are_compared_as_numbers_where_they_are(times: list[str], names: tuple[str, ...]) -> None:
    blocks = blocks_from(None, times)
    assert blocks is not None and blocks.names == names


def test_a_group_is_as_late_as_its_latest_image() -> None:
    blocks = blocks_from(["a", "b", "a", "c", "b"], ["1", "2", "9", "3", "4"])
    assert blocks is not None and blocks.ordered
    assert blocks.names == ("c", "b", "a") and blocks.numbers.tolist() == [2, 1, 2, 0, 1]


@pytest.mark.parametrize("time", ["31/12/2024", "1.2.2024", "03-04-24 10:00"])
def test_dates_with_the_day_or_month_first_are_refused(time: str) -> None:
    with pytest.raises(DataError, match="may be day or month first: write dates as 2024-12-31"):
        blocks_from(None, ["2024-01-01", time])


def test_the_given_split_validates_and_is_never_trained_on() -> None:
    labels = np.array([0, 1] * 10 + [0, 0, 1])
    division = Division(given=3)
    for fraction in (0.1, 0.5):
        parts = split(labels, CLASSES[:2], fraction, None, Key(0), division=division)
        assert parts.val.tolist() == [20, 21, 22] and parts.train.tolist() == list(range(20))
    both = split(labels, CLASSES[:2], 0.1, None, Key(0), Fold(include_validation=True), division)
    assert both.train.tolist() == list(range(23))
    with pytest.raises(DataError, match="folds: 5 would train on images of the validation split"):
        split(labels, CLASSES[:2], 0.1, None, Key(0), Fold(5, 0), division)


def test_a_given_split_without_a_class_is_used() -> None:
    labels = np.array([0, 1, 2, 0, 1])
    parts = split(labels, CLASSES, 0.1, None, Key(0), division=Division(given=2))
    assert parts.val.tolist() == [3, 4]
    with pytest.raises(DataError, match="the validation split has only images of dog, which a network"):
        split(labels, CLASSES, 0.1, None, Key(0), division=Division(given=1))


ODD = np.array([0, 1] * 20)


@pytest.mark.parametrize(
    ("labels", "blocks", "message"),
    [
        (ODD, groups(40), "every image is in the group 'p0'; two or more are needed"),
        (ODD, groups(*[1] * 40), "each of 40 images is a group of its own, which has no effect"),
        (ODD, groups(37, 3), r"the group 'p0' has 37 of 40 images: no part of the others"),
        (ODD, groups(20, 20), r"0.1 cannot be had of 2 groups: whole ones come no closer than 50%"),
        (ODD, groups(20, 20), r"\(the largest, 'p0', has 50%\). Use val_fraction: 0.5, or smaller groups"),
        (
            np.array([0] * 38 + [2] * 2), groups(*[4] * 10),
            r"no image of class eel is held out: it is in 1 group \('p9'\)",
        ),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_divided_are_refused(labels: np.ndarray, blocks: Blocks, message: str) -> None:
    with pytest.raises(DataError, match=message):
        for seed in range(12):  # the only group of a class may be held out, or not
            divided(labels, blocks, 0.1, seed)


def test_times_that_cannot_be_divided_are_refused() -> None:
    same, two = blocks_from(None, ["1"] * 10), blocks_from(None, ["1"] * 5 + ["2"] * 5)
    assert same is not None and two is not None
    with pytest.raises(DataError, match="every image has '1', so none is later"):
        split(ODD[:10], CLASSES[:2], 0.1, None, Key(0), division=Division(blocks=same))
    with pytest.raises(
        DataError, match="cannot be had of 2 different values: whole ones come no closer than 50%"
    ):
        split(ODD[:10], CLASSES[:2], 0.1, None, Key(0), division=Division(blocks=two))
    with pytest.raises(DataError, match="folds: 2 would train on images that are later"):
        split(ODD[:10], CLASSES[:2], 0.1, None, Key(0), Fold(2, 0), Division(blocks=two))


def test_a_class_that_is_only_early_is_named() -> None:
    blocks = blocks_from(None, [str(n) for n in range(10)])
    assert blocks is not None
    with pytest.raises(DataError, match=r"class dog has 5 .*, and val_fraction: 0.2 leaves none"):
        split(np.repeat([1, 0], 5), CLASSES[:2], 0.2, None, Key(0), division=Division(blocks=blocks))


def test_test_images_are_held_out_by_groups_and_times() -> None:
    labels, blocks = patients(60)
    kept, held = held_out_rows(labels, CLASSES, blocks)
    assert not np.intersect1d(blocks.numbers[kept], blocks.numbers[held]).size
    assert abs(len(held) / len(labels) - 0.1) < 0.02 and set(labels[held]) == {0, 1, 2}
    ordered = Blocks(blocks.numbers, blocks.names, ordered=True)
    kept, held = held_out_rows(labels, CLASSES, ordered)
    assert ordered.numbers[kept].max() < ordered.numbers[held].min()


PATHS = ("cat/p1/a_1.jpg", "cat/p2/b_2.jpg", "dog/p1/c_3.jpg")


@pytest.mark.parametrize(
    ("rule", "numbers"),
    [("folder", [0, 1, 0]), (r"/(p\d)/", [0, 1, 0]), (r"([a-z])_\d", [0, 1, 2]), ("^(cat|dog)", [0, 0, 1])],
)
def test_groups_by_folder_and_by_pattern(rule: str, numbers: list[int]) -> None:
    blocks = blocks_of(DivisionRules(groups=rule), Named(PATHS))
    assert blocks is not None and blocks.numbers.tolist() == numbers and not blocks.ordered


def test_groups_and_order_by_column() -> None:
    images = Named(PATHS, {"patient": ["x", "y", "x"], "taken": ["3", "1", "2"]})
    blocks = blocks_of(DivisionRules(groups="patient"), images)
    assert blocks is not None and blocks.names == ("x", "y")
    blocks = blocks_of(DivisionRules(order="taken"), images)
    assert blocks is not None and blocks.numbers.tolist() == [2, 0, 1]


def test_order_by_name_ignores_the_class() -> None:
    blocks = blocks_of(DivisionRules(order="name"), Named(("cat/f10.jpg", "dog/f9.jpg")))
    assert blocks is not None and blocks.numbers.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (DivisionRules(groups="(x)y"), r"groups: '\(x\)y' matches none of 3 images, such as cat/p1/a_1.jpg"),
        (
            DivisionRules(groups=r"(a)_1"),
            "matches only 1 of 3 images, not cat/p2/b_2.jpg, dog/p1/c_3.jpg: every",
        ),
        (DivisionRules(groups="patient"), "groups: 'patient' is unknown: use folder, or a pattern"),
        (DivisionRules(order="folder"), "order: 'folder' is unknown: use name, or a pattern"),
        (DivisionRules(groups="(a"), "is not a regular expression: missing"),
    ],
)
def test_rules_that_do_not_fit_the_images_are_refused(rules: DivisionRules, message: str) -> None:
    with pytest.raises(DataError, match=message):
        blocks_of(rules, Named(PATHS))


def test_a_column_with_a_gap_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"'patient' is filled in for only 2 of 3 images, not cat/p2/b_2\.jpg"
    ):
        blocks_of(DivisionRules(groups="patient"), Named(PATHS, {"patient": ["x", "", "x"]}))
    with pytest.raises(DataError, match=r"'p' is not a column \(there are 'patient'\): use a column"):
        blocks_of(DivisionRules(groups="p"), Named(PATHS, {"patient": ["x", "", "x"]}))


def test_groups_are_suspected_by_folders_and_columns() -> None:
    paths = [f"cat/p{n // 4}/{n}.jpg" for n in range(12)]
    found = suspected_groups(Named(paths))
    assert found is not None and found[0] == "folder" and found[1].names == ("p0", "p1", "p2")
    assert suspected_groups(Named(["cat/1.jpg", *paths])) is None
    columns = {"file": paths, "Patient_ID": [str(n // 4) for n in range(12)]}
    found = suspected_groups(Named(paths, columns))
    assert found is not None and found[0] == "Patient_ID"
    assert suspected_groups(Named(paths, {"file": paths})) is None


def test_the_fingerprint_says_how_images_are_divided() -> None:
    assert Division().signed("f") == "f"
    signed = {Division(given=2).signed("f"), Division(given=3).signed("f")}
    signed |= {Division(blocks=groups(2, 2)).signed("f"), Division(blocks=groups(1, 3)).signed("f")}
    assert len(signed) == 4 and "f" not in signed
