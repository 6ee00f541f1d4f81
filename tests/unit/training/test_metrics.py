"""Metrics of predictions, against scikit-learn's and against values computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from hpo.checks import class_metrics
from hpo.checks.class_metrics import Counts
from hpo.training import metrics

LABELS = torch.tensor([0, 0, 0, 0, 1, 1])
PREDICTED = torch.tensor([0, 0, 0, 1, 1, 0])


def _counts(labels: torch.Tensor, predicted: torch.Tensor, classes: int) -> Counts:
    return metrics.confusion_matrix(labels, predicted, classes).numpy()


def _draws(classes: int, images: int = 300, *, rounded: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities (N, C) that know a little, and labels (N,) of unequal classes."""
    generator = torch.Generator().manual_seed(classes)
    shares = torch.arange(1.0, classes + 1)
    labels = torch.multinomial(shares, images, replacement=True, generator=generator)
    logits = torch.randn(images, classes, generator=generator)
    logits[torch.arange(images), labels] += 0.7
    probabilities = logits.softmax(1)
    return (probabilities * 10).round() / 10 if rounded else probabilities, labels


def test_confusion_matrix_has_classes_in_rows_and_predictions_in_columns() -> None:
    assert _counts(LABELS, PREDICTED, 3).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_metrics_of_counts_by_hand() -> None:
    counts = _counts(LABELS, PREDICTED, 2)
    assert class_metrics.accuracy(counts) == pytest.approx(4 / 6)
    assert class_metrics.balanced_accuracy(counts) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert class_metrics.macro_f1(counts) == pytest.approx((6 / 8 + 2 / 4) / 2)


def test_balanced_accuracy_class_without_images_does_not_count() -> None:
    counts = np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0]])
    assert class_metrics.balanced_accuracy(counts) == pytest.approx((3 / 4 + 1) / 2)


def test_macro_f1_class_that_is_only_predicted_counts_as_zero() -> None:
    counts = np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0]])
    assert class_metrics.macro_f1(counts) == pytest.approx((6 / 7 + 1 + 0) / 3)


@pytest.mark.parametrize(
    ("scores", "area"),
    [([0.1, 0.4, 0.35, 0.8], 0.75), ([0.5, 0.5, 0.5, 0.5], 0.5), ([0.2, 0.5, 0.5, 0.9], 0.875)],
)
def test_area_under_roc_of_two_classes_by_hand(scores: list[float], area: float) -> None:
    probabilities = torch.tensor([[1 - each, each] for each in scores])
    assert metrics.area_under_roc(probabilities, torch.tensor([0, 0, 1, 1])) == pytest.approx(area)


def test_area_under_roc_class_without_images_does_not_count() -> None:
    probabilities, labels = _draws(3)
    labels[labels == 0] = 1
    known = [_against_rest(probabilities[:, each], labels == each) for each in (1, 2)]
    assert metrics.area_under_roc(probabilities, labels) == pytest.approx(sum(known) / 2)


def test_area_under_roc_one_class_only_is_not_a_number() -> None:
    probabilities, labels = _draws(3)
    assert math.isnan(metrics.area_under_roc(probabilities, torch.zeros_like(labels)))


def test_area_under_roc_probability_that_is_not_a_number_is_not_one() -> None:
    probabilities, labels = _draws(3)
    probabilities[5, 1] = math.nan
    assert math.isnan(metrics.area_under_roc(probabilities, labels))


def test_area_under_roc_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, labels = _draws(7)
    whole = metrics.area_under_roc(probabilities, labels)
    monkeypatch.setattr(metrics, "_AT_ONCE", 600)
    assert metrics.area_under_roc(probabilities, labels) == whole


@pytest.mark.parametrize("rounded", [False, True], ids=["different", "ties"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_metrics_are_those_of_scikit_learn(classes: int, rounded: bool) -> None:
    theirs: Any = pytest.importorskip("sklearn.metrics")
    probabilities, labels = _draws(classes, rounded=rounded)
    predicted = probabilities.argmax(1)
    counts = _counts(labels, predicted, classes)
    assert counts.tolist() == theirs.confusion_matrix(labels, predicted, labels=range(classes)).tolist()
    assert class_metrics.accuracy(counts) == pytest.approx(theirs.accuracy_score(labels, predicted))
    balanced = theirs.balanced_accuracy_score(labels, predicted)
    assert class_metrics.balanced_accuracy(counts) == pytest.approx(balanced)
    assert class_metrics.macro_f1(counts) == pytest.approx(
        theirs.f1_score(labels, predicted, average="macro")
    )
    areas = [
        theirs.roc_auc_score(labels == each, probabilities[:, each])
        for each in range(1 if classes == 2 else 0, classes)
    ]
    assert metrics.area_under_roc(probabilities, labels) == pytest.approx(sum(areas) / len(areas), abs=1e-12)


def _against_rest(scores: torch.Tensor, own: torch.Tensor) -> float:
    """Return the share of pairs in which the image of the class has the higher score."""
    return float((scores[own][:, None] > scores[~own][None, :]).float().mean())
