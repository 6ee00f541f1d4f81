"""Loops that end in the middle of a step, with and without the error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import hpo
from hpo.checks.observations import Observations
from hpo.checks.rules.interrupted import interrupted
from tests.helpers.observed import LIMITS, one, seen, setup


def broken(steps: int = 0, **changes: object) -> Observations:
    return seen(losses=np.ones(steps), curve=[], is_interrupted=True, **changes)


def test_interrupted_in_its_first_step_it_met_an_error() -> None:
    one(interrupted(broken(), LIMITS), "warn", "error")
    found = one(interrupted(broken(reduction="none"), LIMITS), "warn", "wrong_loss")
    assert found.remedy.change == {"code": "use_mean_reduction"}


def test_interrupted_a_loop_that_did_all_its_steps_was_not() -> None:
    short = replace(setup(), epochs=1, steps_per_epoch=2)
    assert interrupted(broken(2, setup=short), LIMITS) == []
    one(interrupted(broken(1, setup=short), LIMITS), "warn")
    assert interrupted(seen(is_interrupted=True), LIMITS) == []  # it ended an epoch
    assert interrupted(seen(curve=[]), LIMITS) == []


def test_interrupted_errors_of_pytorch_have_a_cause_and_others_may_be_meant() -> None:
    for error, cause in (
        ("RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn", "detached"),
        ("IndexError: Target 10 is out of bounds.", "bad_labels"),
        ("RuntimeError: Trying to backward through the graph a second time", "error"),
    ):
        one(interrupted(broken(error=error), LIMITS), "warn", cause)
    one(interrupted(seen(error="TrialPruned: at step 3"), LIMITS), "note", "error")


@pytest.mark.parametrize("is_told", [True, False])
def test_a_loss_that_is_no_number_is_named(is_told: bool) -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.MSELoss(reduction="none")
    sitter = hpo.Babysitter(model, optimizer, loss_function=None if is_told else criterion)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        if is_told:
            with sitter:
                criterion(model(torch.randn(8, 4)), torch.randn(8, 1)).backward()
        criterion(model(torch.randn(8, 4)), torch.randn(8, 1)).backward()
    sitter.after()
    assert sitter.verdict().cause == "wrong_loss"
    assert sitter.verdict().change == {"code": "use_mean_reduction"}


def test_a_loop_of_one_step_with_a_pass_for_validation_is_not_interrupted() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sitter = hpo.Babysitter(model, optimizer)
    loss = model(torch.randn(8, 4)).square().mean()
    loss.backward()
    optimizer.step()
    sitter.step(loss)
    with torch.no_grad():
        model(torch.randn(8, 4))
    sitter.after()
    assert not sitter.seen.is_interrupted
