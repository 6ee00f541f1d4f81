"""Causes and what follows from them."""

from __future__ import annotations

from hpo.checks.causes import CAUSES, SYMPTOMS


def test_consequences_are_causes_too_and_go_one_way() -> None:
    for name, cause in CAUSES.items():
        assert cause.label and name not in cause.explains
        for other in cause.explains:
            assert name not in CAUSES[other].explains, (name, other)


def test_words_are_told_apart() -> None:
    words = [cause.label for cause in CAUSES.values()]
    assert len(set(words)) == len(words)


def test_what_a_cause_is_taken_for_is_another_cause() -> None:
    for name, cause in CAUSES.items():
        assert cause.resembles != name
        assert not cause.resembles or cause.resembles in CAUSES
        assert cause.resembles not in SYMPTOMS
