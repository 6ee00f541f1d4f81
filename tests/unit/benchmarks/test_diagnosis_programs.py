"""The faulty programs of the diagnosis benchmark are what their labels say, and their fixes undo them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from diagnosis_programs import script
from diagnosis_programs.fault import Fault
from diagnosis_programs.faults import FAULTS
from diagnosis_programs.faults_fresh import FRESH
from diagnosis_programs.halves import halves
from diagnosis_programs.healthy import HEALTHY, trains_well
from diagnosis_programs.program import CLASSES, Program
from diagnosis_programs.runs import recordings
from diagnosis_programs.script import Curve, Script

from hpo.checks.causes import CAUSES

IMAGES = 100
CRASHES = {"labels_from_1", "labels_from_minus_1"}
EVERY_FAULT = pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise in place of the data set: nothing here depends on what is learned."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(IMAGES) % CLASSES
    monkeypatch.setattr(script, "pixels", lambda count: (images, labels, images, labels))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _small(program: Program) -> Program:
    """One epoch of two steps."""
    size = {"batch_size": IMAGES // 2, "train_images": IMAGES, "epochs": 1, "precision": "fp32"}
    return replace(program, configuration=program.configuration.model_copy(update=size))


def _trained(program: Program) -> Curve:
    return Script(_small(program), 0, watched=False).train()


@EVERY_FAULT
def test_a_faulty_program_runs_or_crashes_as_its_label_says(fault: Fault) -> None:
    if fault.name in CRASHES:
        with pytest.raises(IndexError, match="out of bounds"):
            _trained(fault.faulty())
        return
    curve = _trained(fault.faulty())
    assert len(curve.val_accuracy) == 1
    assert 0 <= curve.val_accuracy[0] <= 1


@EVERY_FAULT
def test_each_fix_gives_the_sound_program_back(fault: Fault) -> None:
    sound = fault.healthy()
    assert fault.faulty() != sound
    for fix in fault.fixes:
        assert fault.treated({"code": fix}) == sound
    for field in fault.cured_by:
        assert fault.treated({field: getattr(sound.configuration, field)}) == sound
    if not fault.parts:
        values = {name: getattr(sound.configuration, name) for name in fault.fields}
        assert fault.treated(values) == sound


@EVERY_FAULT
def test_a_remedy_for_something_else_leaves_the_fault(fault: Fault) -> None:
    assert fault.treated({"code": "something_else"}) == fault.faulty()
    untouched = fault.treated({"lr_decay": 0.123}).configuration
    assert all(
        getattr(untouched, name) == value for name, value in fault.fields.items() if name != "lr_decay"
    )


@EVERY_FAULT
def test_labels_are_causes_that_a_verdict_can_name(fault: Fault) -> None:
    assert fault.causes
    assert set(fault.causes) <= set(CAUSES)
    assert bool(fault.fields) != bool(fault.parts)
    if fault.parts and fault.repairable:
        assert fault.fixes or fault.cured_by


def test_a_sound_program_learns_by_heart_what_a_faulty_one_cannot() -> None:
    def last_loss(program: Program) -> float:
        longer = _small(program).configuration.model_copy(update={"epochs": 30})
        return Script(replace(program, configuration=longer), 0, watched=False).train().train_loss[-1]

    assert last_loss(FAULTS["step_forgotten"].healthy()) < 0.5
    assert last_loss(FAULTS["step_forgotten"].faulty()) > 2


@pytest.mark.parametrize("programs", [FAULTS, HEALTHY], ids=["faults", "healthy"])
def test_both_older_halves_have_of_every_kind(programs: dict[str, Fault]) -> None:
    chosen = halves(programs)
    assert set(chosen) == set(programs)
    counts = Counter((programs[name].kind, half) for name, half in chosen.items())
    for kind in {each.kind for each in programs.values()}:
        assert abs(counts[kind, "tuning"] - counts[kind, "checking"]) <= 1


@pytest.mark.parametrize(
    ("programs", "tuning", "digest"),
    [(FAULTS, 44, "6c6755289df52fd2"), (HEALTHY, 34, "57da55a65a7fd4e7")],
    ids=["faults", "healthy"],
)
def test_programs_stay_in_the_half_on_which_thresholds_were_chosen(
    programs: dict[str, Fault], tuning: int, digest: str
) -> None:
    names = sorted(name for name, half in halves(programs).items() if half == "tuning")
    assert len(names) == tuning
    assert hashlib.blake2b(" ".join(names).encode(), digest_size=8).hexdigest() == digest


def test_fresh_faults_are_those_of_their_file_and_of_every_kind_of_the_older() -> None:
    chosen = halves(FAULTS)
    fresh = {name for name, half in chosen.items() if half == "fresh"}
    assert fresh == {fault.name for fault in FRESH}
    assert len(FAULTS) - len(fresh) == 88, "a fresh fault took the name of an older one"
    assert len(fresh) == len(FRESH) >= 26
    assert {fault.kind for fault in FRESH} == {each.kind for each in FAULTS.values()}
    assert "fresh" not in halves(HEALTHY).values()
    recorded = [run for run in recordings("fresh") if run.group != "bases"]
    assert {run.name for run in recorded} == fresh


def test_there_are_as_many_as_were_promised() -> None:
    assert len(FAULTS) >= 45
    assert len(HEALTHY) >= 60


def test_what_trains_well_is_far_from_guessing_and_not_far_below_its_like() -> None:
    assert trains_well([0.45, 0.43], comparable=[0.4, 0.45, 0.5])
    assert not trains_well([0.45, 0.27], comparable=[0.4, 0.45, 0.5])
    assert trains_well([0.31, 0.31], comparable=[0.4, 0.45, 0.5])
    assert not trains_well([0.34, 0.34], comparable=[0.5, 0.5, 0.5])
