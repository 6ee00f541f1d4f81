"""The faulty programs of the diagnosis benchmark are what their labels say, and their fixes undo them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diagnosis_programs import checking, former_checking, script
from diagnosis_programs.bases import BASES
from diagnosis_programs.fault import Fault
from diagnosis_programs.faults import FAULTS
from diagnosis_programs.halves import HALVES, Half, halves
from diagnosis_programs.healthy import HEALTHY
from diagnosis_programs.program import CLASSES, Program
from diagnosis_programs.runs import keep, recordings, seen_of
from diagnosis_programs.script import Curve, Script
from diagnosis_programs.sound import trains_well

from hpo.checks.causes import CAUSES
from tests.helpers.observed import seen

IMAGES = 40
CRASHES = {"labels_from_1", "labels_from_minus_1", "void_labels", "ten_for_zero", "fine_classes"}
EVERY_FAULT = pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))


TRIED = {*CRASHES, *list(FAULTS)[::8]}
"""Those that train in tests that are not slow."""


def _slow_unless(quick: bool) -> list[pytest.MarkDecorator]:
    return [] if quick else [pytest.mark.slow]


def _by_half(programs: Mapping[str, Any], half: Half) -> dict[str, Any]:
    chosen = halves(programs)
    return {name: each for name, each in programs.items() if chosen[name] == half}


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
    return Script(_small(program), 0, watched=False, precision="fp32").train()


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, id=name, marks=_slow_unless(name in TRIED)) for name, each in FAULTS.items()],
)
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
        return (
            Script(replace(program, configuration=longer), 0, watched=False, precision="fp32")
            .train()
            .train_loss[-1]
        )

    assert last_loss(FAULTS["step_forgotten"].healthy()) < 0.5
    assert last_loss(FAULTS["step_forgotten"].faulty()) > 2


def test_the_checking_half_is_what_its_files_list() -> None:
    assert list(_by_half(FAULTS, "checking")) == [each.name for each in checking.FAULTS]
    assert list(_by_half(HEALTHY, "checking")) == [each.name for each in checking.SOUND]


@pytest.mark.parametrize(
    ("programs", "tuning", "checking"), [(FAULTS, 184, 87), (HEALTHY, 84, 30)], ids=["faults", "healthy"]
)
def test_no_program_of_one_half_took_the_name_of_another(
    programs: Mapping[str, Any], tuning: int, checking: int
) -> None:
    assert len(_by_half(programs, "tuning")) == tuning
    assert len(_by_half(programs, "checking")) == checking


@pytest.mark.parametrize("programs", [FAULTS, HEALTHY], ids=["faults", "healthy"])
def test_both_halves_have_of_every_kind(programs: Mapping[str, Any]) -> None:
    kinds = [{each.kind for each in _by_half(programs, half).values()} for half in HALVES]
    assert kinds[0] == kinds[1]


def test_the_checking_half_repeats_nothing_of_the_tuning_half() -> None:
    seen = [fault.faulty() for fault in _by_half(FAULTS, "tuning").values()]
    assert not [name for name, fault in _by_half(FAULTS, "checking").items() if fault.faulty() in seen]
    sound = [*BASES.values(), *(each.program() for each in _by_half(HEALTHY, "tuning").values())]
    assert not [name for name, each in _by_half(HEALTHY, "checking").items() if each.program() in sound]
    bases = [{fault.base for fault in _by_half(FAULTS, half).values()} for half in HALVES]
    assert not bases[0] & bases[1]
    assert bases[0] | bases[1] == set(BASES)


@pytest.mark.parametrize("half", HALVES)
def test_a_half_is_recorded_with_its_own_bases(half: Half) -> None:
    recorded = {(run.group, run.name) for run in recordings(half)}
    faults = _by_half(FAULTS, half)
    assert recorded == {
        *(("faults", name) for name in faults),
        *(("bases", fault.base) for fault in faults.values()),
        *(("healthy", name) for name in _by_half(HEALTHY, half)),
    }
    seeds = Counter((run.group, run.name) for run in recordings(half))
    assert {group: count for (group, _), count in seeds.items()} == {"bases": 3, "faults": 3, "healthy": 2}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=_slow_unless(not position % 8))
        for position, name in enumerate(
            [*(each.name for each in former_checking.SOUND), *_by_half(HEALTHY, "checking")]
        )
    ],
)
def test_an_unusual_sound_program_runs(name: str) -> None:
    curve = _trained(HEALTHY[name].program())
    assert len(curve.val_accuracy) == 1
    assert math.isfinite(curve.train_loss[0])


def test_there_are_as_many_as_were_promised() -> None:
    assert len(FAULTS) >= 45
    assert len(HEALTHY) >= 60


def test_what_trains_well_is_far_from_guessing_and_not_far_below_its_like() -> None:
    assert trains_well([0.45, 0.43], comparable=[0.4, 0.45, 0.5])
    assert not trains_well([0.45, 0.27], comparable=[0.4, 0.45, 0.5])
    assert trains_well([0.31, 0.31], comparable=[0.4, 0.45, 0.5])
    assert not trains_well([0.34, 0.34], comparable=[0.5, 0.5, 0.5])


def test_recordings_with_former_field_names_load(tmp_path: Path) -> None:
    recorded, old = seen(), seen()
    for owner, now, former in (
        (old, "forwards", "fed"),
        (old.setup, "foreign_parameters", "strangers"),
        (old.setup, "frozen_norms", "still_norms"),
        (old.preflight, "identical_units", "alike"),
        (old.snapshots[0].layers[0], "constant_outputs", "mute"),
    ):
        fields = vars(owner)
        fields[former] = fields.pop(now)
    keep(tmp_path / "old.json", Curve(), old)
    loaded = seen_of(tmp_path / "old.json")
    assert loaded.losses.tolist() == recorded.losses.tolist()
    assert repr(replace(loaded, losses=recorded.losses)) == repr(recorded)
