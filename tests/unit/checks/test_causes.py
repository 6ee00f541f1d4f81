"""Causes and what follows from them."""

from __future__ import annotations

import pytest

from hpo.checks.causes import CAUSES, SYMPTOMS, evidence

EVERY_CAUSE = pytest.mark.parametrize("name", CAUSES)


@EVERY_CAUSE
def test_consequences_are_other_causes_and_form_no_cycle(name: str) -> None:
    consequences = CAUSES[name].explains
    assert name not in consequences
    assert not [other for other in consequences if name in CAUSES[other].explains]


def test_labels_are_unique() -> None:
    labels = [cause.label for cause in CAUSES.values()]
    assert all(labels) and len(set(labels)) == len(labels)


@EVERY_CAUSE
def test_a_cause_resembles_another_that_is_not_a_symptom(name: str) -> None:
    resembles = CAUSES[name].resembles
    assert resembles in {"", *CAUSES} - {name, *SYMPTOMS}


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("learning rate too high: the loss: 9.1", "the loss: 9.1"),
        ("bad start: units are zero", "units are zero"),
        ("rank 3: too low", "rank 3: too low"),
        ("healthy", "healthy"),
    ],
    ids=["label", "label of an older version", "no label", "no colon"],
)
def test_evidence_is_the_verdict_without_its_label(verdict: str, text: str) -> None:
    assert evidence(verdict) == text
