"""Validation that is far better than training."""

from __future__ import annotations

import pytest

from hpo.checks.observations import EpochFacts
from hpo.checks.rules.label_noise import _HARDER, _LEAD, _LOSSES, label_noise
from tests.helpers.observed import LIMITS, NAN, epochs, one, seen, setup


def leading(lead: float = 2 * _LEAD, losses: float = 2 * _LOSSES) -> list[EpochFacts]:
    """The second epoch's training behind the first one's validation, in accuracy and in loss."""
    return epochs([0.6, 0.6], [0.5, 0.6 - lead], [1.0, 1.0], [1.5, 1.0 + losses])


@pytest.mark.parametrize(
    ("lead", "losses"), [(_LEAD - 0.001, 1.0), (0.3, _LOSSES - 0.001), (0.0, 0.0), (NAN, 1.0), (0.3, NAN)]
)
def test_label_noise_inside_is_quiet(lead: float, losses: float) -> None:
    assert label_noise(seen(curve=leading(lead, losses)), LIMITS) == []


def test_label_noise_just_beyond_both_labels_are_wrong() -> None:
    curve = leading(_LEAD + 0.001, _LOSSES + 0.001)
    found = one(label_noise(seen(curve=curve), LIMITS), "warn", "labels_do_not_match")
    assert found.value == pytest.approx(_LEAD + 0.001) and found.threshold == _LEAD
    assert "0.499" in found.message and "0.600" in found.message and found.step == 200
    assert found.remedy.change == {"code": "fix_labels"}


@pytest.mark.parametrize("name", _HARDER)
def test_label_noise_what_makes_training_harder_explains_it(name: str) -> None:
    for factor, count in ((1.0, 1), (1.01, 0)):
        sets = setup(settings={name: factor * _HARDER[name] + (0.01 if factor > 1 else 0)})
        assert len(label_noise(seen(setup=sets, curve=leading()), LIMITS)) == count
    changed = setup(settings={"auto_augment": "trivialaugment"})
    assert label_noise(seen(setup=changed, curve=leading()), LIMITS) == []
    dropped = setup(dropout=_HARDER["dropout"] + 0.01)
    assert label_noise(seen(setup=dropped, curve=leading()), LIMITS) == []


def test_label_noise_one_epoch_reports_nothing() -> None:
    assert label_noise(seen(curve=leading()[:1]), LIMITS) == []
    assert label_noise(seen(curve=[]), LIMITS) == []
