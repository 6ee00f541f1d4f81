"""One cause out of many findings: cascades are named after their beginning."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hpo.checks.causes import CAUSES, JUDGED_BY_STUDY, is_blame
from hpo.checks.verdict import verdict
from hpo.records import Finding, Remedy


def finding(cause: str, severity: Any = "warn", confidence: float = 0.6, **fields: Any) -> Finding:
    return Finding("check", severity, 1.0, 0.5, f"saw {cause}", cause=cause, confidence=confidence, **fields)


def test_notes_alone_are_healthy() -> None:
    said = verdict([finding("lr_too_high", "note", 0.9), finding("underfitting", "pass")])
    assert (said.cause, said.second_cause, said.text, said.change) == ("healthy", "", "healthy", {})


def test_a_trial_does_not_accuse_what_its_study_judges() -> None:
    noted = [finding("train_val_mismatch", "warn", 0.9), finding("labels_do_not_match", "note", 0.75)]
    assert verdict(noted).cause == "train_val_mismatch"
    assert verdict(noted, is_trial=True).cause == "healthy"
    symptom = finding("underfitting", "warn", 0.3)
    said = verdict([*noted, symptom], is_trial=True)
    assert (said.cause, said.text) == ("underfitting", "underfits: saw underfitting")
    assert said.second_cause not in JUDGED_BY_STUDY


def test_a_training_without_checks_is_not_called_healthy() -> None:
    said = verdict([], checked=False)
    assert (said.cause, said.text, said.confidence) == ("not_checked", "not checked", 0.0)
    assert verdict([finding("error", "fatal", 1.0)], checked=False).cause == "error"


@pytest.mark.parametrize(("text", "blames"), [
    ("healthy", False), ("healthy: 31 checks, 24 epochs", False), ("not checked", False),
    ("nothing wrong seen (3 checks, 1 epoch), but nothing shows that it learned", False),
    ("underfits: training accuracy is only 0.155", True), ("stopped early: 9th of 12", True),
])  # fmt: skip
def test_is_blame_is_about_the_text_of_a_verdict(text: str, blames: bool) -> None:
    assert is_blame(text) is blames


def test_a_cascade_is_named_after_its_first_cause() -> None:
    said = verdict(
        [
            finding("lr_too_high", "note", 0.7, remedy=Remedy("lower lr", {"lr": 0.1})),
            finding("dead_units", "warn", 0.7, layer="conv1"),
            finding("not_learning", "fatal", 0.4),
        ]
    )
    assert said.cause == "lr_too_high" and said.change == {"lr": 0.1}
    assert said.text == "learning rate too high: saw lr_too_high; saw not_learning"
    assert said.second_cause


def test_what_speaks_together_is_surer() -> None:
    """Two of 0.6 and 0.5 are both wrong in 0.4 x 0.5 of all cases."""
    said = verdict([finding("bad_labels", confidence=0.6), finding("bad_labels", confidence=0.5)])
    assert said.confidence == pytest.approx(0.8)
    note = verdict([finding("no_update", "warn", 0.1), finding("bad_init", "note", 0.5)])
    assert (note.cause, note.confidence) == ("bad_init", pytest.approx(0.35))


def test_of_equally_likely_causes_the_first_is_named() -> None:
    for first, second in pairwise(CAUSES):
        if first in CAUSES[second].explains or second in CAUSES[first].explains:
            continue
        for order in ((first, second), (second, first)):
            assert verdict([finding(cause) for cause in order]).cause == first


@pytest.mark.parametrize("severity", ["warn", "fatal"])
@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0])
def test_confidence_is_a_probability(severity: str, confidence: float) -> None:
    for cause in CAUSES:
        said = verdict([finding(cause, severity, confidence)] * 3)
        assert 0 <= said.confidence <= 1 and said.cause == cause
        assert said.text.startswith(CAUSES[cause].label)


def test_the_advice_is_that_of_the_cause() -> None:
    without = finding("overfitting", confidence=0.9)
    advice = finding("overfitting", "note", 0.3, remedy=Remedy("stop earlier", {"epochs": 3}))
    said = verdict([without, advice])
    assert (said.remedy, said.change) == ("stop earlier", {"epochs": 3})


def test_the_second_cause_is_one_that_could_be_the_first() -> None:
    """That it did not learn is known; what else may be the reason is not."""
    said = verdict([finding("softmax_twice", confidence=0.8), finding("not_learning", "fatal", 0.4)])
    assert (said.cause, said.second_cause) == ("softmax_twice", "wrong_loss")
    known = verdict([finding("softmax_twice", confidence=0.8), finding("frozen_parameters", confidence=0.3)])
    assert known.second_cause == "frozen_parameters"


def test_a_consequence_that_was_warned_of_is_the_second_cause() -> None:
    said = verdict([finding("lr_too_high", confidence=0.85), finding("dead_units", confidence=0.7)])
    assert (said.cause, said.second_cause) == ("lr_too_high", "dead_units")


def test_what_is_certain_needs_no_second_cause() -> None:
    assert verdict([finding("bad_labels", confidence=0.95)]).second_cause == ""
