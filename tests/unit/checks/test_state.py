"""What a babysitter remembers survives JSON, and covers every number that is seen."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import numpy as np
from pydantic import TypeAdapter

from hpo.checks.data_facts import Batches, DataFacts, Dependence, LayerInput, ValidationPasses
from hpo.checks.loss_facts import LossFacts, LossTerm, Normalization
from hpo.checks.observations import (
    EpochFacts,
    ForwardRecord,
    ModeGap,
    Observations,
    Setup,
    StepAudit,
    TensorFacts,
)
from hpo.checks.preflight import Snapshot
from hpo.checks.state import BabysitterState, ForwardMonitorState
from hpo.checks.updates import Motion, Rate, Updates
from hpo.records import Finding, LayerStatistics, Remedy

_ADAPTER = TypeAdapter(BabysitterState)


def _seen() -> Observations:
    setup = Setup(
        10, "sgd", 0.1, 0.9, 0.0, 2, 8, {"l1": 0.0, "schedule": "cosine"}, 5, (), ("a",), 0, 0.0, ()
    )
    layer = LayerStatistics(
        "conv", "ReLU", 0.1, 1.0, 0.0, math.nan, 1 / 3, 2.0, math.inf, low=-1 / 3, high=2.0, counts=(5, 0, 7)
    )
    return Observations(
        setup,
        losses=np.array([2.3, math.nan, math.inf]),
        snapshots=[Snapshot(0, 0.1, 2.3, 0.5, (layer, layer))],
        modes=[ModeGap(8, 1.0, 2.0)],
        forwards=[ForwardRecord(1, True, True, ("norm",), 0.0, 1.0, math.nan)],
        audits=[StepAudit(0, 32, 2.3, 2.3, 1.0, math.nan, 0.0, 0.0, 1.0, 1.0, 0.0, 1 / 3, 1.0)],
        loss_graphs=[LossFacts(0, (LossTerm("mse", -1, True),), wrong_axis=Normalization(0, (8, 4)))],
        opponents=[1.5],
        batch_classes=[9, 10],
        batch_labels=32,
        class_counts=[3, 29],
        carried=[(1.0, 1 / 3)],
        mixed_classes=10,
        inputs=TensorFacts((64, 3, 8, 8), True, -1.0, 1.0, 1 / 3),
        labels=TensorFacts((64,), False, 0.0, 9.0),
        curve=[EpochFacts(1, 8, 2.0, 0.2, 2.1, 0.1)],
        accuracy_scales={"val_accuracy": 0.01},
        optimizer_steps=3,
        val_images=100,
        untrained=("c",),
        still_frozen=("d",),
        unreached=("e",),
        is_unchanged=True,
        updates=Updates(
            (Rate(0, 0.1),), (Motion(0, 0.1, 1 / 3),), math.nan, (1,), True, True, ("f",), 8, 0, shrunk=1 / 3
        ),
        data=DataFacts(
            Batches(400, 1),
            validations=[ValidationPasses(1, 3, 3, 0)],
            inputs=[LayerInput("conv", True, True, False, 100.0, math.nan, 1 / 3)],
            dependence=Dependence(recalls=(0.5, math.nan), counts=(20, 0)),
        ),
        is_partial=True,
        is_interrupted=True,
        error="ValueError: no",
        reduction="mean",
    )


def test_it_comes_back_from_json_as_it_was() -> None:
    finding = Finding(
        "learned", "warn", math.nan, 0.5, "no", Remedy("more", {"lr": 0.1}), 3, "conv", "c", 0.4
    )
    memory = BabysitterState(_seen(), [finding], {"learned": 2}, ForwardMonitorState(1, 0, 3, 1 / 3))
    again = _ADAPTER.validate_python(json.loads(json.dumps(_ADAPTER.dump_python(memory))))
    np.testing.assert_array_equal(again.seen.losses, memory.seen.losses)
    nothing = np.empty(0)
    # repr tells NaN from NaN as equal, unlike ==.
    same = [repr(replace(each, seen=replace(each.seen, losses=nothing))) for each in (memory, again)]
    assert same[0] == same[1]


def test_every_field_of_the_example_is_set() -> None:
    """So that a new kind of observation is tried here as well."""
    seen, empty = _seen(), Observations(_seen().setup)
    unset = [
        each.name
        for each in fields(Observations)
        if repr(getattr(seen, each.name)) == repr(getattr(empty, each.name))
    ]
    assert unset == ["setup", "preflight", "ended"]
