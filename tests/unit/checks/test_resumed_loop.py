"""A loop that another babysitter resumes: what was measured before counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from hpo import Babysitter
from hpo.checks.facts import Fact
from hpo.checks.judge import checked
from hpo.checks.measure import kept_state
from hpo.integrations.feed import Feed
from hpo.records import Finding
from hpo.trainer.babysitting import Watch
from hpo.trainer.states import ArrayCodec

_EPOCHS, _STEPS, _SIZE = 3, 6, 32
_POINTS = torch.randn(256, 6, generator=torch.Generator().manual_seed(1))
_LABELS = (_POINTS[:, :3].sum(1) > 0).long()


class _Loop:
    """A training whose first layer's bias is left out of the optimizer."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        self.optimizer = Adam(list(self.model.parameters())[2:], lr=0.03)
        self.sitter = Babysitter(self.model, self.optimizer, epochs=_EPOCHS, steps_per_epoch=_STEPS)

    def before(self) -> None:
        self.sitter.before(_POINTS[:64], _LABELS[:64], _POINTS[200:], _LABELS[200:])

    def train(self, first: int, last: int) -> None:
        for number in range(first, last):
            rows = slice(number % _STEPS * _SIZE, (number % _STEPS + 1) * _SIZE)
            self.optimizer.zero_grad()
            loss = cross_entropy(self.model(_POINTS[rows]), _LABELS[rows])
            loss.backward()
            self.optimizer.step()
            self.sitter.step(loss, _LABELS[rows])
            if number % _STEPS == _STEPS - 1:
                self._validate()

    def _validate(self) -> None:
        with torch.no_grad():
            outputs = self.model.eval()(_POINTS[200:])
        self.model.train()
        accuracy = (outputs.argmax(1) == _LABELS[200:]).float().mean().item()
        self.sitter.epoch(val_accuracy=accuracy, val_images=56)

    def resumed(self, change: Any = None) -> _Loop:
        """Return the loop that another process resumes from a checkpoint's bytes."""
        arrays: dict[str, Any] = {}
        watch = Watch()
        watch.babysitter = self.sitter
        document = json.loads(json.dumps(watch.state(arrays)))
        content = ArrayCodec().dump(arrays)
        self.sitter.close()
        other, again = _Loop(), Watch()
        other.model.load_state_dict(self.model.state_dict())
        other.optimizer.load_state_dict(self.optimizer.state_dict())
        other.sitter.close()
        other.sitter = Babysitter(other.model, other.optimizer, epochs=_EPOCHS, steps_per_epoch=_STEPS)
        if change is not None:
            change(document)
        again.take(document, ArrayCodec().load(content), [], [])
        again.begin(other.sitter)
        return other


def _findings(loop: _Loop) -> list[Finding]:
    loop.sitter.after()
    return loop.sitter.findings


@pytest.fixture(scope="module")
def whole() -> _Loop:
    loop = _Loop()
    loop.before()
    loop.train(0, _EPOCHS * _STEPS)
    loop.sitter.after()
    return loop


@pytest.mark.parametrize("cut", [2, 3, 6, 10, 17, 18])
def test_resumed_loop_has_the_same_observations(cut: int, whole: _Loop) -> None:
    loop = _Loop()
    loop.before()
    loop.train(0, cut)
    loop = loop.resumed()
    loop.train(cut, _EPOCHS * _STEPS)
    assert repr(_findings(loop)) == repr(whole.sitter.findings)
    for name in ("data", "updates", "untrained", "unreached", "is_unchanged", "curve"):
        assert repr(getattr(loop.sitter.seen, name)) == repr(getattr(whole.sitter.seen, name)), name
    assert whole.sitter.seen.untrained == ("0.weight", "0.bias")
    assert whole.sitter.seen.data is not None and whole.sitter.seen.data.dependence.recalls


def _of_an_older_version(document: dict[str, Any]) -> None:
    del document["kept"]
    del document["state"]["kept"]
    del document["state"]["seen"]["is_partial"]


def test_checkpoint_without_measurements_leaves_out_their_checks() -> None:
    loop = _Loop()
    loop.before()
    loop.train(0, 10)
    loop = loop.resumed(_of_an_older_version)
    loop.train(10, _EPOCHS * _STEPS)
    findings = _findings(loop)
    assert len([each for each in findings if "was resumed from a checkpoint without" in each.message]) == 1
    assert not {"class_recall", "untrained_parameters"} & {each.check for each in findings if each.step > 12}
    missing = checked(loop.sitter.seen)[1]
    assert {"class_recall", "same_batch", "untrained_parameters"} <= missing.keys()
    assert missing["same_batch"] == {Fact.FROM_START}


def _of_other_layers(document: dict[str, Any]) -> None:
    text = json.dumps(document["kept"])
    document.update(kept=json.loads(text.replace('["calls", [["0"', '["calls", [["gone"')))


def test_measurements_of_another_network_are_left_out() -> None:
    loop = _Loop()
    loop.before()
    loop.train(0, 7)
    again = loop.resumed(_of_other_layers)
    assert again.sitter.seen.is_partial
    messages = [each.message for each in again.sitter.findings[len(loop.sitter.findings) :]]
    assert ["saved measurements failed" in messages[0], "was resumed" in messages[1]] == [True, True]


def test_measurements_that_are_too_large_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_state, "_MOST_BYTES", 1000)
    loop = _Loop()
    loop.before()
    loop.train(0, 7)
    again = loop.resumed()
    assert again.sitter.seen.is_partial
    assert again.resumed().sitter.seen.is_partial
    assert len(again.sitter.findings) == len(loop.sitter.findings) + 1


def test_pass_over_the_data_continues_a_resumed_epoch() -> None:
    loop = _Loop()
    feed, again = (Feed(loop.model, loop.optimizer) for _ in range(2))
    feed.batch((_POINTS[:8], _LABELS[:8]))
    feed.loss(cross_entropy(loop.model(_POINTS[:8]), _LABELS[:8]))
    again.resume(feed.state())
    again.begin_epoch()
    assert not again.babysitter.seen.curve
    again.begin_epoch()
    assert len(again.babysitter.seen.curve) == 1
