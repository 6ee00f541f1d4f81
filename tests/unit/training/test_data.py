"""Trial data: what is shared, what is kept between trials, and that batches hold the right images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo.config.configuration import Configuration
from hpo.data.datasets import Dataset
from hpo.data.preprocess import Preprocessor
from hpo.data.split import Split
from hpo.settings import settings
from hpo.training import data as state
from hpo.training.data import ImageSet, make_trial_data, weights_hash

Make = Callable[..., tuple[Any, ...]]
CPU = torch.device("cpu")
MATRIX_KINDS = ("pca", "whiten", "zca")


def test_no_image_is_copied_on_a_cpu(make_tiny: Make, tiny_dataset: Dataset) -> None:
    _, data = make_tiny()
    assert data.train.pixels.data_ptr() == data.val.pixels.data_ptr()
    assert np.shares_memory(data.train.pixels.numpy(), tiny_dataset.train_images)


def test_the_sets_are_those_of_the_split(make_tiny: Make, tiny_dataset: Dataset, tiny_split: Split) -> None:
    _, data = make_tiny(preprocessing="none")
    images, labels = data.val.batch(torch.tensor([3, 0]))
    rows = tiny_split.val[[3, 0]]
    assert labels.tolist() == tiny_dataset.train_labels[rows].tolist()
    fit = Preprocessor.fit(Configuration(preprocessing="none"), torch.tensor(tiny_dataset.train_images))
    assert torch.equal(images, fit(torch.tensor(tiny_dataset.train_images[rows])))
    assert (len(data.train), len(data.val), data.class_names) == (96, 40, tuple("abcdefghij"))


def test_preprocessing_is_fitted_to_the_training_rows_alone(tiny_dataset: Dataset, tiny_split: Split) -> None:
    half = Split(train=tiny_split.train[:48], val=tiny_split.val)
    data = make_trial_data(Configuration(preprocessing="standardize"), tiny_dataset, half, CPU)
    images, _ = data.train.first(48)
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(images.std((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_first_gives_at_most_what_there_is(make_tiny: Make) -> None:
    _, data = make_tiny()
    assert len(data.val.first(1000)[1]) == 40


@pytest.fixture(scope="module")
def thumbnails(tiny_dataset: Dataset) -> Dataset:
    """8 x 8 pixels: principal components of 192 values instead of 3,072, in no time."""
    images = np.ascontiguousarray(tiny_dataset.train_images[:, :, ::4, ::4])
    return dataclasses.replace(tiny_dataset, train_images=images, fingerprint="thumbnails")


@pytest.mark.parametrize("kind", MATRIX_KINDS)
def test_matrix_preprocessing_is_done_once_in_half_precision(
    kind: Any, thumbnails: Dataset, tiny_split: Split
) -> None:
    configuration = Configuration(preprocessing=kind, pca_components=16)
    data = make_trial_data(configuration, thumbnails, tiny_split, CPU)
    raw = torch.tensor(thumbnails.train_images)
    expected = Preprocessor.fit(configuration, raw[:96])(raw[96:])
    images, labels = data.val.first(40)
    assert data.val.pixels.dtype == torch.float16
    assert images.dtype == torch.float32
    assert labels.tolist() == thumbnails.train_labels[96:].tolist()
    torch.testing.assert_close(images, expected, rtol=1e-3, atol=1e-3)


def test_preprocessed_images_are_shared_and_bit_for_bit_those_made_here(
    thumbnails: Dataset, tiny_split: Split
) -> None:
    configuration = Configuration(preprocessing="zca")
    data = make_trial_data(configuration, thumbnails, tiny_split, CPU)
    assert data.train.pixels.data_ptr() == data.val.pixels.data_ptr()
    folder = settings().cache / "preprocessed"
    assert str(folder) in _mapped_at(data.train.pixels)
    raw = torch.tensor(thumbnails.train_images)
    for images, rows in ((data.train, tiny_split.train), (data.val, tiny_split.val)):
        expected = data.preprocessor(raw[rows]).half().float()
        assert torch.equal(images.first(len(rows))[0], expected)
    state._prepared.clear()
    before = set(folder.iterdir())
    again = make_trial_data(configuration, thumbnails, tiny_split, CPU)
    assert set(folder.iterdir()) == before
    assert torch.equal(again.val.pixels, data.val.pixels)


def test_pixels_that_change_each_time_are_preprocessed_each_time(
    thumbnails: Dataset, tiny_split: Split
) -> None:
    configuration = Configuration(preprocessing="zca", color_jitter=0.5)
    data = make_trial_data(configuration, thumbnails, tiny_split, CPU)
    assert data.train.pixels.dtype == torch.uint8
    darker, _ = data.train.batch(torch.arange(4), lambda pixels: pixels * 0.5)
    assert torch.allclose(darker, data.preprocessor(torch.tensor(thumbnails.train_images[:4]) * 0.5))


def _mapped_at(pixels: torch.Tensor) -> str:
    """The line of this process's memory map in which the tensor lies."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(each, 16) for each in line.split()[0].split("-"))
        if first <= pixels.data_ptr() < last:
            return line
    raise AssertionError("the tensor is nowhere in memory")


def test_other_threads_or_rows_or_numbers_have_images_of_their_own(
    thumbnails: Dataset, tiny_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A matrix product is summed in another order by another number of threads."""

    def place(split: Split = tiny_split, **values: float) -> str:
        state._prepared.clear()
        data = make_trial_data(Configuration(preprocessing="zca", **values), thumbnails, split, CPU)  # type: ignore[arg-type]
        return _mapped_at(data.train.pixels).split()[-1]

    usual = place()
    swapped = Split(train=tiny_split.train, val=tiny_split.val[::-1].copy())
    places = [usual, place(swapped), place(whiten_epsilon=0.5)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 97)
    places.append(place())
    assert len(set(places)) == 4


def test_the_same_data_are_prepared_once(make_tiny: Make) -> None:
    _, first = make_tiny(lr=0.1)
    _, again = make_tiny(lr=0.2, whiten_epsilon=0.5)  # neither has an effect on standardized images
    _, other = make_tiny(preprocessing="none")
    assert again is first
    assert other is not first


def test_another_split_is_prepared_again(tiny_dataset: Dataset, tiny_split: Split) -> None:
    configuration = Configuration()
    swapped = Split(train=tiny_split.val, val=tiny_split.train)
    one = make_trial_data(configuration, tiny_dataset, tiny_split, CPU)
    two = make_trial_data(configuration, tiny_dataset, swapped, CPU)
    assert two is not one
    assert len(two.train) == 40


def test_only_one_transformed_set_is_held(thumbnails: Dataset, tiny_split: Split) -> None:
    kinds: tuple[Any, ...] = (*MATRIX_KINDS, "standardize", "none", "minmax", "zero_center", "zca")
    for kind in kinds:
        configuration = Configuration(preprocessing=kind, pca_components=8)
        make_trial_data(configuration, thumbnails, tiny_split, CPU)
        held = list(state._prepared.values())
        assert sum(data.train.preprocessor is None for data in held) <= 1
        assert len(held) <= 4


def test_a_batch_of_transformed_images_is_exact_where_half_precision_is() -> None:
    pixels = torch.tensor([0.5, -2.0, 1024.0]).view(3, 1, 1, 1).expand(3, 3, 32, 32).half()
    images = ImageSet(pixels, torch.tensor([7, 8, 9]), torch.tensor([2, 0]), None)
    batch, labels = images.batch(torch.tensor([0, 1]))
    assert batch[:, 0, 0, 0].tolist() == [1024.0, 0.5]
    assert labels.tolist() == [9, 7]


def test_the_hash_is_of_names_shapes_and_values() -> None:
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    first = weights_hash(net)
    assert len(first) == 64
    assert weights_hash(net.to(memory_format=torch.channels_last)) == first
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] += 1e-6
    second = weights_hash(net)
    assert second != first
    net[1].running_mean[0] = 1.0
    assert weights_hash(net) not in (first, second)
    assert weights_hash(nn.Sequential(net[0])) != weights_hash(net)


def test_the_hash_is_of_names_too() -> None:
    layer = nn.Linear(2, 2)
    assert weights_hash(nn.ModuleDict({"a": layer})) != weights_hash(nn.ModuleDict({"b": layer}))


def test_the_hash_takes_any_type() -> None:
    assert weights_hash(nn.Linear(2, 2).to(torch.bfloat16)) != weights_hash(nn.Linear(2, 2))
