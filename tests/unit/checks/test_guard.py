"""An error of the babysitter is one note; the loop and all other parts go on."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from hpo import Babysitter
from hpo.checks import babysitter, judge
from hpo.checks.guard import Guard, Hook
from hpo.checks.measure import audit, inputs
from hpo.checks.measure.audit import StepAuditor
from hpo.checks.measure.hooks import LoopHooks
from hpo.checks.measure.inputs import ForwardMonitor
from hpo.checks.measure.left_out import LeftOut
from hpo.checks.measure.probes import Probe
from hpo.checks.measure.steps import StepRecord
from hpo.checks.registry import DURING
from hpo.errors import LeaseLostError, UserError
from hpo.heartbeat import beat, on_beat
from hpo.records import Finding
from hpo.signals import StopRequestedError


def fails(*given: Any, **named: Any) -> Any:
    raise ZeroDivisionError("no such number")


def guarded() -> tuple[Guard, list[Finding]]:
    found: list[Finding] = []
    return Guard(found.append), found


def test_guard_an_error_is_one_note_and_ends_the_part() -> None:
    guard, found = guarded()
    assert [guard.run("audit", fails, 1), guard.run("audit", lambda: 2, 1)] == [1, 1]
    assert guard.run("record", lambda: 2, 1) == 2
    (finding,) = found
    assert (finding.check, finding.severity) == ("babysitter", "note")
    assert "audit" in finding.message and "ZeroDivisionError: no such number" in finding.message
    assert "test_guard.py, line" in finding.message or "guard.py, line" in finding.message
    assert "not affected" in finding.remedy.text and torch.__version__ in finding.remedy.text


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, StopRequestedError, SystemExit, UserError("x"), LeaseLostError("x")]
)
def test_guard_lets_control_flow_pass(error: Any) -> None:
    def stop() -> None:
        raise error

    guard, found = guarded()
    with pytest.raises(error if isinstance(error, type) else type(error)):
        guard.run("audit", stop, None)
    assert found == [] and not guard.is_off("audit")


def test_guard_lets_pass_what_a_heartbeat_raises() -> None:
    guard, found = guarded()
    with on_beat(fails), pytest.raises(ZeroDivisionError):
        guard.run("audit", beat, None)
    guard.run("audit", fails, None)
    assert len(found) == 1


def test_guard_memory_that_runs_out_in_a_measurement_is_a_note() -> None:
    def measure() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    guard, found = guarded()
    guard.run("statistics of layers", measure, None)
    assert "OutOfMemoryError: CUDA out of memory" in found[0].message


def test_hook_copies_and_files_of_a_model_have_none() -> None:
    guard, found = guarded()
    model = nn.Linear(2, 2)
    model.register_forward_hook(Hook(guard, "audit", fails), with_kwargs=True)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin(torch.zeros(1, 2))
    assert found == []
    model(torch.zeros(1, 2))
    assert len(found) == 1


PARTS: list[tuple[Any, str]] = [
    (audit, "outputs"),
    (audit, "_fidelity"),
    (audit, "_descent"),
    (audit, "against_cross_entropy"),
    (audit, "_read"),
    (inputs, "_image_numbers"),
    (inputs, "_record"),
    (inputs, "norm"),
    (StepAuditor, "before_step"),
    (StepAuditor, "after_step"),
    (StepAuditor, "_on_forward"),
    (ForwardMonitor, "_on_forward"),
    (ForwardMonitor, "_on_backward"),
    (ForwardMonitor, "after_step"),
    (LoopHooks, "_take_snapshot"),
    (LoopHooks, "_compare_modes"),
    (Probe, "snapshot"),
    (Babysitter, "_examine"),
    (Babysitter, "_collect"),
    (StepRecord, "look"),
    (babysitter, "verdict"),
    (LeftOut, "read_into"),
    (babysitter, "describe_examples"),
    (LoopHooks, "attach"),
    (babysitter, "read_setup"),
    (judge, "facts"),
]


@pytest.mark.parametrize(("owner", "name"), PARTS, ids=lambda each: getattr(each, "__name__", each))
def test_a_part_that_fails_leaves_the_loop_alone(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, fails)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Babysitter(model, optimizer, classes=3, epochs=1, steps_per_epoch=24) as sitter:
        sitter.before(torch.randn(30, 6), torch.arange(30) % 3)
        for _ in range(24):
            loss = nn.functional.cross_entropy(model(torch.randn(30, 6)), torch.arange(30) % 3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, torch.arange(30) % 3)
        sitter.epoch(val_accuracy=0.3, val_images=30)
        sitter.after()
        assert sitter.verdict().text
    sitter.state_dict()
    notes = [each for each in sitter.findings if each.check == "babysitter"]
    failed_with_it = name == "facts"  # the verdict says what was looked at
    assert len(notes) == 1 + failed_with_it and "no such number" in notes[0].message
    assert len(sitter.seen.losses) == (0 if name == "_collect" else 24)


def test_a_check_that_fails_is_a_note_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> list[Finding]:
        raise ValueError("math domain error")

    monkeypatch.setattr("hpo.checks.judge.DURING", (broken, *DURING))
    model = nn.Linear(6, 3)
    sitter = Babysitter(model, torch.optim.SGD(model.parameters(), lr=0.1), classes=3)
    sitter.steps(torch.full((20,), 1.1))
    sitter.steps(torch.full((20,), 1.1))
    notes = [each.message for each in sitter.findings if each.check == "babysitter"]
    assert len(notes) == 1 and "check broken" in notes[0]
    assert any(each.check == "no_update" for each in sitter.findings)
