"""Each finding once, and again when it gets worse."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.checks import judge as judging
from hpo.checks.judge import CHECK_INTERVAL, Judge, is_round_due, replay, steps_to_round
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Severity
from tests.helpers.observed import LIMITS, LN10, epochs, falling, layer, seen, setup, snapshot


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        (["note", "note", "note"], ["note"]),
        (["note", "warn", "fatal"], ["note", "warn", "fatal"]),
        (["warn", "note", "warn", "fatal", "warn"], ["warn", "fatal"]),
        (["pass", "pass", "note"], ["pass", "note"]),
    ],
)
def test_a_finding_is_reported_again_only_when_it_gets_worse(
    told: list[Severity], heard: list[Severity], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(told)

    def check(seen: Observations, limits: Thresholds) -> list[Finding]:
        return [Finding("check", next(left), 1.0, 0.5, "saw it")]

    monkeypatch.setattr(judging, "DURING", (check,))
    judge = Judge(LIMITS)
    said = [finding.severity for _ in told for finding in judge.during(seen())]
    assert said == heard


def dead(share: float, step: int) -> Observations:
    shot = snapshot(layer("conv1", dead=share), layer("classifier", nonlinearity="", dead=0.0), step=step)
    return seen(snapshots=[shot], losses=falling(step + 1), ended=False)


def test_what_was_reported_at_one_look_is_not_reported_at_the_next() -> None:
    judge = Judge(LIMITS)
    heard = [[finding.check for finding in judge.during(dead(0.95, step))] for step in (8, 32, 95)]
    assert [names.count("dead_units") for names in heard] == [1, 0, 0]


def test_checks_do_not_silence_each_other_nor_judges() -> None:
    judge = Judge(LIMITS)
    judge.during(dead(0.95, 8))
    wild = dead(0.95, 32)
    wild.losses[-1] = np.nan
    assert [finding.check for finding in judge.during(wild)] == ["exploding_loss"]
    assert "dead_units" in [finding.check for finding in Judge(LIMITS).during(wild)]


def test_before_and_after_share_what_was_reported() -> None:
    judge, sound = Judge(LIMITS), seen()
    first = [finding.check for finding in judge.before(sound)]
    assert "initial_loss" in first and len(set(first)) == len(first)
    assert judge.before(sound) == []
    assert "learned" in [finding.check for finding in judge.after(sound)]
    assert judge.after(sound) == []


def exploding(at: int) -> Observations:
    losses = falling(500)
    losses[at:] = np.nan
    return seen(losses=losses)


@pytest.mark.parametrize("at", [0, CHECK_INTERVAL - 1, CHECK_INTERVAL, 99])
def test_a_replay_stops_at_the_look_after_the_first_fatal_finding(at: int) -> None:
    findings = replay(exploding(at), LIMITS)
    assert findings[-1].severity == "fatal" and findings[-1].step == at
    assert not {"learned", "underfitting"} & {finding.check for finding in findings}


def test_a_replay_that_does_not_act_continues_to_the_end() -> None:
    checks = [finding.check for finding in replay(exploding(40), LIMITS, acting=False)]
    assert checks.count("exploding_loss") == 1 and checks[-1] != "exploding_loss" and "learned" in checks


def test_a_replay_sees_at_each_look_only_what_had_been_seen() -> None:
    """A loss at chance for a fifth of the training is fatal, though it falls later."""
    late = np.concatenate([np.full(100, LN10), falling(400)])
    assert "not_learning" in [finding.check for finding in replay(seen(losses=late), LIMITS)]
    assert "not_learning" not in [finding.check for finding in Judge(LIMITS).during(seen(losses=late))]


def test_a_training_without_preflight_can_be_replayed() -> None:
    checks = [finding.check for finding in replay(seen(preflight=None), LIMITS)]
    assert "learned" in checks and "initial_loss" not in checks


def test_steps_to_round_grow_with_the_steps_so_far() -> None:
    assert [steps_to_round(steps) for steps in (0, 999, 1000, 10_000)] == [20, 83, 83, 833]
    step = rounds = 0
    while step < 100_000:
        step, rounds = step + steps_to_round(step), rounds + 1
    assert rounds < 100


def test_rounds_after_epochs_get_rare_once_there_are_many() -> None:
    rounds, judged = [], 0
    for epoch in range(1, 1001):
        if is_round_due(epoch, 10 * epoch, judged):
            rounds.append(epoch)
            judged = 10 * epoch
    assert rounds[:30] == [*range(1, 31)]
    assert len(rounds) < 150
    assert rounds[-1] > 960


def test_an_epoch_without_a_round_is_judged_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def check(seen: Observations, limits: Thresholds) -> list[Finding]:
        calls.append(seen.steps)
        return []

    monkeypatch.setattr(judging, "DURING", (check,))
    now = seen(curve=epochs([0.1] * 40), setup=setup(settings={}))
    judge = Judge(LIMITS)
    judge.during(now)
    judge.after_epoch(now)
    assert calls == [500]
    judge.after(now)
    assert calls == [500, 500]
