"""Balanced sampling and class weights: what is drawn, what an image counts, and that a trial resumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from hpo.config.configuration import Configuration
from hpo.rng import Key
from hpo.training.batches import EpochBatches, balanced_order
from hpo.training.data import TrialData
from hpo.training.model_factory import build_model
from hpo.training.setup import TrialSetup

KEY = Key(5)
CPU = torch.device("cpu")
LABELS = torch.tensor([0] * 60 + [2] * 5 + [1] * 20)
Make = Callable[..., tuple[Configuration, TrialData]]


def test_balanced_order_has_each_class_equally_often_within_one() -> None:
    order = balanced_order(KEY, 1, LABELS, 80)
    assert sorted(torch.bincount(LABELS[order]).tolist()) == [26, 27, 27]


def test_balanced_order_repeats_an_image_only_after_all_of_its_class() -> None:
    times = torch.bincount(balanced_order(KEY, 1, LABELS, 80), minlength=len(LABELS))
    for label in range(3):
        of_class = times[label == LABELS]
        assert of_class.max() - of_class.min() <= 1


def test_balanced_order_is_a_function_of_key_and_epoch_and_is_mixed() -> None:
    order = balanced_order(KEY, 3, LABELS, 80)
    assert torch.equal(order, balanced_order(KEY, 3, LABELS, 80))
    assert not torch.equal(order, balanced_order(KEY, 4, LABELS, 80))
    assert len(LABELS[order][:10].unique()) == 3


def test_balanced_order_class_without_images_is_left_out() -> None:
    order = balanced_order(KEY, 1, torch.tensor([0, 0, 0, 4]), 4)
    assert sorted((order == 3).long().tolist()) == [0, 0, 1, 1]


def test_balanced_batches_resume_within_an_epoch(make_tiny: Make) -> None:
    configuration, data = make_tiny(sampling="balanced", augmentation="flip_crop")
    whole = EpochBatches(configuration, data.train, KEY, 2)
    batches = list(whole)
    again = EpochBatches(configuration, data.train, KEY, 2)
    iterator = iter(again)
    next(iterator)
    state = again.augmentation_at(1)
    rest = list(EpochBatches(configuration, data.train, KEY, 2, 1, state))
    assert len(rest) == len(batches) - 1
    for (pixels, labels), (later, of_later) in zip(batches[1:], rest, strict=True):
        assert torch.equal(pixels, later) and torch.equal(labels, of_later)


def _setup(make_tiny: Make, **fields: Any) -> TrialSetup:
    configuration, data = make_tiny(**fields)
    kept = torch.cat([data.train.rows[data.train.labels[data.train.rows] == 0][:3], data.train.rows[:40]])
    data = replace(data, train=replace(data.train, rows=kept))
    sample, _ = data.train.first(8)
    model = build_model(configuration, classes=data.classes, key=KEY, sample=sample, in_shape=(3, 32, 32))
    return TrialSetup.of(configuration, model, data, KEY, CPU, "fp32")


def test_class_weights_balanced_are_the_inverse_counts_and_one_on_average(make_tiny: Make) -> None:
    setup = _setup(make_tiny, class_weights="balanced")
    weights = setup.class_weights()
    assert weights is not None
    counts = torch.tensor(setup.data.train.class_counts(setup.data.classes)).float()
    known = counts > 0
    assert torch.allclose(
        weights[known] * counts[known], (counts.sum() / known.sum()).expand(int(known.sum()))
    )
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1)


def test_class_weights_are_those_of_the_loss(make_tiny: Make) -> None:
    from hpo.training.loop import _Training

    setup = _setup(make_tiny, class_weights="balanced", label_smoothing=0.1)
    images, labels = setup.data.train.first(32)
    training = _Training(setup, ())
    loss, logits = training.step(0, images, labels)
    expected = F.cross_entropy(logits, labels, setup.class_weights(), label_smoothing=0.1)
    plain = F.cross_entropy(logits, labels, label_smoothing=0.1)
    assert float(loss) == pytest.approx(float(expected)) and float(loss) != pytest.approx(float(plain))


@pytest.mark.parametrize("fields", [{}, {"sampling": "balanced", "class_weights": "balanced"}])
def test_class_weights_none_by_default_and_with_balanced_sampling(
    fields: dict[str, Any], make_tiny: Make
) -> None:
    assert _setup(make_tiny, **fields).class_weights() is None
