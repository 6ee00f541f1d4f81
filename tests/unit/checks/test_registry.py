"""Every check on a sound training, and where data are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.checks.registry import AFTER, BEFORE, DURING, Check
from hpo.checks.verdict import verdict
from tests.helpers.observed import LIMITS, check_finding, epochs, layer, preflight, seen, setup, snapshot

ALL = sorted({*BEFORE, *DURING, *AFTER}, key=lambda check: check.__name__)


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_a_sound_training_gives_no_warning(check: Check) -> None:
    findings = check(seen(), LIMITS)
    for finding in findings:
        check_finding(finding)
        assert finding.severity == "pass"


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_numbers_that_are_not_known_are_not_evidence(check: Check) -> None:
    unknown = layer(
        mean=math.nan, std=math.nan, dead=math.nan, gradient_norm=math.nan, weight_norm=math.nan,
        update_ratio=math.nan, constant_outputs=math.nan,
    )  # fmt: skip
    shots = [snapshot(unknown, unknown, unknown, step=step) for step in (0, 8)]
    nothing = [math.nan] * 5
    facts = seen(snapshots=shots, curve=epochs(nothing, nothing, nothing, nothing), val_images=None)
    assert all(finding.severity == "pass" for finding in check(facts, LIMITS))


@pytest.mark.parametrize("check", [*DURING, *AFTER], ids=lambda check: check.__name__)
def test_nothing_seen_yet_is_not_evidence(check: Check) -> None:
    if check.__name__ == "split_difference":
        pytest.skip("needs what was measured before training")
    empty = seen(
        setup=setup(epochs=None, steps_per_epoch=None), preflight=None, losses=np.empty(0), snapshots=[],
        forwards=[], audits=[], batch_classes=[], curve=[], optimizer_steps=0,
    )  # fmt: skip
    assert check(empty, LIMITS) == []


def test_the_verdict_of_a_sound_training_is_healthy() -> None:
    facts = seen(preflight=preflight())
    assert verdict([each for check in ALL for each in check(facts, LIMITS)]).cause == "healthy"
