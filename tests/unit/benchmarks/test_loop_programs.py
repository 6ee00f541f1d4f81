"""The programs of the loops benchmark are well-formed, and some of them run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loop_programs.every import programs
from loop_programs.mistakes import MISTAKES
from loop_programs.program import HALVES, PROGRAMS, loop
from loop_programs.runs import Outcome, omitted
from loop_programs.tables import misses, summary
from loop_programs.watch import Watch

from hpo.checks.causes import CAUSES


def test_the_folder_of_a_program_is_its_half() -> None:
    assert PROGRAMS["moons"].half == "seen"
    assert PROGRAMS["two_layers.lr_too_high"].half == "unseen"
    assert {each.half for each in programs()} == set(HALVES)


def test_a_second_program_of_a_name_is_refused() -> None:
    def moons(watch: Watch) -> float:
        return watch.lr

    with pytest.raises(ValueError, match="two programs are named moons"):
        loop("two classes", target=0.0)(moons)
    assert PROGRAMS["moons"].kind == "two classes"
    assert PROGRAMS["moons"].train is not moons


def test_every_cause_is_one_that_a_verdict_can_have() -> None:
    assert {cause for mistake in MISTAKES.values() for cause in mistake.causes} <= set(CAUSES)
    faults = [program.fault for program in programs() if program.fault]
    assert {cause for fault in faults for cause in fault.causes} <= set(CAUSES)


def test_there_are_enough_programs_in_both_halves() -> None:
    for half in HALVES:
        chosen = programs(half)
        assert sum(each.fault is None for each in chosen) >= 30
        assert sum(each.fault is not None for each in chosen) >= 70


@pytest.mark.parametrize("name", ["manual_polynomial", "survival", "lasso", "two_layers"])
def test_a_sound_program_reaches_its_target(name: str) -> None:
    program = PROGRAMS[name]
    torch.manual_seed(0)
    assert program.train(Watch(program.settings)) >= program.target


@pytest.mark.parametrize("family", ["manual_polynomial", "lasso", "two_layers"])
def test_a_faulty_program_misses_the_target(family: str) -> None:
    program = PROGRAMS[f"{family}.lr_too_high"]
    torch.manual_seed(0)
    score = program.train(Watch(program.settings, "lr_too_high"))
    assert not score >= program.target


def test_treated_program_follows_settings_and_fixes() -> None:
    program = PROGRAMS["manual_polynomial.lr_too_high"]
    treated = program.treated({"lr": 1e-6})
    assert treated is not None
    assert treated.settings["lr"] == 1e-6
    mended = PROGRAMS["manual_polynomial.wrong_sign"].treated({"code": "fix_loss_sign"})
    assert mended is not None
    assert mended.fault is None
    assert program.treated({"width": 3}) is None


class Raising:
    """A babysitter that fails in step."""

    findings = ()

    def __init__(self, model: Any, optimizer: Any, **arguments: Any) -> None:
        self.arguments = arguments

    def __getattr__(self, name: str) -> Any:
        if name == "step":
            raise RuntimeError("broken")
        return lambda *values, **more: None


def test_watch_omits_arguments_and_remembers_errors() -> None:
    watch = Watch({"lr": 1.0, "scale": 2.0}, "", Raising, omit=["task"])
    sitter = watch(None, None, classes=3, task="classification")
    sitter.step(1.0)
    sitter.after()
    assert watch.lr == 1.0
    assert watch.record.babysitter.arguments == {"classes": 3, "configuration": {"lr": 1.0}}
    assert watch.record.raised == ["step: RuntimeError: broken"]
    assert watch.record.ended


def test_omitted_arguments_differ_between_families() -> None:
    assert len({omitted(name) for name in PROGRAMS}) > 4


def test_summary_counts_a_blamed_sound_program_and_a_named_fault() -> None:
    sound = Outcome(
        "a", "kind", "seen", "", (), 1.0, learned=True, enough=True, cause="lr_too_high", seconds=1
    )
    faulty = Outcome(
        "b.no_step",
        "kind",
        "seen",
        "no_step",
        ("no_update",),
        0,
        learned=False,
        enough=True,
        cause="no_update",
    )
    rows = [[cell.strip() for cell in line.split("|")] for line in summary([sound, faulty]).splitlines()]
    assert ["", "sound with a warning or cause", "1", "1", "100.0%", ""] in rows
    assert ["", "first cause right", "1", "1", "100.0%", ""] in rows
    assert "a (score 1.00): blamed" in misses([sound, faulty])
    assert "b.no_step" not in misses([sound, faulty])
