"""What a trial's babysitter says of a training that does not talk to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hpo.checks.babysitter import Babysitter
from hpo.checks.causes import NOT_ENOUGH
from hpo.checks.verdict import verdict
from hpo.integrations.plain import watch
from hpo.records import Finding
from hpo.trainer.babysitting import Watch

ADVICE = "write loss = batches.loss(loss)"


def _found(*, steps: int, tells: bool, advice: str = ADVICE) -> list[Finding]:
    """Return the notes on a training with these steps that tells its losses, or does not."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    data = torch.utils.data.TensorDataset(torch.randn(4 * steps, 4), torch.arange(4 * steps) % 2)
    batches = watch(torch.utils.data.DataLoader(data, 4) if steps else [], model, optimizer)
    sitter = Watch()
    sitter.begin(batches.babysitter, batches.feed, advice)
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        (batches.loss(loss) if tells else loss).backward()
        optimizer.step()
    sitter.finish()
    return [each for each in sitter.news(0).findings if each.check == "unseen"]


@pytest.mark.parametrize(("steps", "seen"), [(6, "6 steps but no loss"), (0, "no step and no loss")])
def test_training_that_tells_no_loss_is_not_judged_in_silence(steps: int, seen: str) -> None:
    (found,) = _found(steps=steps, tells=False)
    assert (found.severity, found.message, found.remedy.text) == ("note", f"babysit saw {seen}", ADVICE)
    judged = verdict([found], checked=True, is_trial=True)
    assert (judged.cause, judged.remedy) == (NOT_ENOUGH, ADVICE)
    assert judged.text == f"not enough seen: babysit saw {seen}"


def test_training_that_tells_its_losses_gets_no_such_note() -> None:
    assert _found(steps=6, tells=True) == []
    assert _found(steps=6, tells=False, advice="") == []  # with its checks off, or of another program


def test_babysitter_without_a_loader_notes_that_no_loss_came() -> None:
    model = nn.Linear(4, 2)
    sitter = Watch()
    sitter.begin(Babysitter(model, torch.optim.SGD(model.parameters(), 0.1)), advice="call step(loss)")
    sitter.finish()
    (found,) = [each for each in sitter.news(0).findings if each.check == "unseen"]
    assert found.remedy.text == "call step(loss)"
