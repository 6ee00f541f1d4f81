from __future__ import annotations

import pytest

from hpo.config.parsing.load import parse_study
from hpo.config.template import SEARCHES, Images, Length, first_study, fitting_length, name_from, parse_length
from hpo.errors import UserError

CIFAR10 = Images("cifar10", 50_000, 10)
FOLDER = Images("folder", 300, 3, '/data/my: #1 "photos" é')


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("images", [CIFAR10, FOLDER, Images("folder", 3, 2, "/few")])
def test_the_file_is_a_study_with_what_was_answered(search: str, images: Images) -> None:
    text = first_study("mine", images, Length(7, 3), SEARCHES[search], "How long it takes: a minute.")
    spec = parse_study(text, "mine.yaml")
    assert (spec.study, spec.trials, spec.fixed["epochs"]) == ("mine", 7, 3)
    assert (spec.fixed["dataset"], spec.fixed.get("data_root")) == (images.dataset, images.root)
    assert {"lr", "weight_decay"} < set(spec.space)
    assert ("activation" in spec.space) is (search == "lecture")
    assert text.startswith("# yaml-language-server: $schema=./study.schema.json\n")
    assert "# How long it takes: a minute.\n" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("search", SEARCHES)
def test_the_line_that_is_commented_out_works(search: str) -> None:
    text = first_study("mine", CIFAR10, Length(7, 3), SEARCHES[search], "")
    pruned = parse_study(text.replace("# pruner: asha", "pruner: asha  "), "mine.yaml")
    assert pruned.pruner.name == "asha"


def test_few_images_make_small_batches() -> None:
    def batch(images: Images, length: Length) -> int:
        text = first_study("mine", images, length, SEARCHES["regularization"], "")
        return int(parse_study(text, "mine.yaml").fixed.get("batch_size", 64))

    assert batch(CIFAR10, Length(7)) == 64
    assert batch(CIFAR10, Length(7, 3, 500)) == 50
    assert batch(FOLDER, Length(7)) == 27
    assert batch(Images("folder", 2, 2, "/few"), Length(7)) == 2


@pytest.mark.parametrize("name", ["null", "1e3", "0.5", "true", "12"])
def test_names_that_yaml_takes_for_something_else_are_quoted(name: str) -> None:
    text = first_study(name, CIFAR10, Length(7), SEARCHES["lecture"], "")
    assert parse_study(text, "x.yaml").study == name


@pytest.mark.parametrize(
    ("work", "images", "length"),
    [
        (0, CIFAR10, Length(6, 4, 2000)),  # never less than says something
        (8 * 2000 * 4, CIFAR10, Length(8, 4, 2000)),
        (80 * 9_150, CIFAR10, Length(20, 4, 9_100)),
        (80 * 45_000, CIFAR10, Length(20, 4)),
        (20 * 7 * 45_000, CIFAR10, Length(20, 7)),
        (50 * 10 * 45_000, CIFAR10, Length(50, 10)),
        (0, FOLDER, Length(6, 4)),
        (1e12, FOLDER, Length(1000, 10)),
        (0, Images("folder", 90_000, 200), Length(6, 4, 4_000)),  # 20 of each class
    ],
)
def test_time_becomes_epochs_then_trials(work: float, images: Images, length: Length) -> None:
    assert fitting_length(work, images) == length
    if length.trials > 6 and length.trials < 1000:
        assert 0.9 * work <= length.work(images) <= work


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30", 30.0),
        (" 2.5 min ", 2.5),
        ("20x5", Length(20, 5)),
        ("20 × 5", Length(20, 5)),
        ("1 minute", 1.0),
    ],
)
def test_lengths(text: str, length: float | Length) -> None:
    assert parse_length(text) == length


@pytest.mark.parametrize("text", ["", "long", "0", "0x5", "5x0", "-3", "1e9", "nan", "20x5x2"])
def test_what_is_not_a_length(text: str) -> None:
    with pytest.raises(UserError, match="give minutes, such as 30, or trials x epochs, such as 20x5"):
        parse_length(text)


@pytest.mark.parametrize(
    ("stem", "name"),
    [("study", "study"), ("my first study!", "my-first-study"), (".x", "x"), ("日本", "my-study")],
)
def test_a_files_name_becomes_a_studys(stem: str, name: str) -> None:
    assert name_from(stem) == name
