"""Networks of one's own: each kind is trained, stored and restored in small, or refused with the remedy."""

from __future__ import annotations

import re

import pytest
import torch

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.errors import ConfigurationError
from hpo.training.rehearsal import Rehearsal, check_models, models_of
from tests.helpers import own_networks

CPU = torch.device("cpu")

SUPPORTED = [
    *("Plain", "lazy", "LateModule", "ExtraDict", "Counting", "Tied", "SharedBuffer", "NanBuffer"),
    *("Transposed", "Parametrized", "Locked", "InPlace", "ImageByImage", "Converting", "ConvertingToBf16"),
    *("NoisyCounting", "Prints", "traced", "OwnGenerator", "BuiltByChance", "WarmUp", "FailsLater"),
]
REFUSED = {
    "InTraining": "returns a tuple in training mode, not a tensor; expected logits of shape (8, 10)",
    "DictInTraining": "returns a dict in training mode, not a tensor",
    "NothingInTraining": "returns None in training mode, not a tensor",
    "MapInTraining": "shape (8, 10, 1, 1) in training mode; expected logits of shape (8, 10): return "
    "logits.flatten(1)",
    "MoreClassesInTraining": "logits of shape (8, 11) in training mode; expected logits of shape (8, 10)",
    "RaisesInTraining": "in a step of training, raised ValueError: no gradient today",
    "ExitsInTraining": "in a step of training, raised SystemExit: 3",
    "DetachedInTraining": "is there a detach() or torch.no_grad() in forward?",
    "GrowsInTraining": "adds the parameter slope in training mode, where the optimizer does not get it: "
    "create it in __init__, or use a lazy layer",
    "Map": "logits of shape (2, 10, 1, 1) in evaluation mode; expected logits of shape (2, 10): return "
    "logits.flatten(1)",
    "Squeezed": "logits of shape (10,) in evaluation mode; expected logits of shape (1, classes)",
    "NeedsTwo": "evaluated on a batch of 1, without gradients, raised ValueError: a batch of one",
    "NeedsGradient": "is there a detach() or torch.no_grad() in forward?",
    "Frozen": "has no trainable parameter: requires_grad is off for all of its 4",
    "Complex": "phases is a complex parameter, which hpo does not train",
    "Double": "images are torch.float32 and it has parameters of torch.float64: convert the images in "
    "forward, or the network with .float()",
    "Expanded": "slope has elements that share memory, as after expand(): it cannot be updated; add .clone()",
    "UnusedLazy": "unused.weight is lazy, and the forward pass in evaluation mode does not use it",
    "Elsewhere": "body.2.weight is on meta: build the network on the CPU",
    "Sparse": "words gives sparse gradients, which hpo's optimizers do not take: use sparse=False",
    "ExtraObject": "_extra_state in the network's state_dict has a Random, which cannot be stored",
    "ForgetfulStatistics": "gives other logits after its state_dict was stored and loaded",
    "Unloadable": "given its state_dict again, raised RuntimeError: Error(s) in loading state_dict",
    "scripted": "it is a ScriptModule of torch.jit.script, which the checks cannot watch",
}


def rehearsal(name: str) -> Rehearsal:
    configuration = Configuration(model=f"{own_networks.PATH}:{name}", precision="fp32")
    return Rehearsal(configuration, 10, STANDARD.shape, CPU)


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("name", SUPPORTED)
def test_rehearsal_of_a_supported_network_passes(name: str) -> None:
    before = torch.get_rng_state()
    rehearsal(name).run()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_rehearsal_of_another_network_names_the_remedy(name: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(REFUSED[name])) as caught:
        rehearsal(name).run()
    assert f"model {own_networks.PATH}:{name}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NoisyCounting", ""),
        ("OwnGenerator", "trained to other weights each time"),
        ("BuiltByChance", "built with other weights each time"),
    ],
)
def test_unrepeatable_finds_random_numbers_that_are_not_seeded(name: str, reason: str) -> None:
    found = rehearsal(name).unrepeatable()
    assert reason in found and bool(found) == bool(reason)


@pytest.mark.parametrize(("name", "differs"), [("NoisyCounting", False), ("WarmUp", True)])
def test_unresumable_finds_what_the_state_dict_lacks(name: str, differs: bool) -> None:
    assert ("not in its state_dict" in rehearsal(name).unresumable()) is differs


def test_check_models_reaches_every_choice() -> None:
    paths = [f"{own_networks.PATH}:{name}" for name in ("Plain", "Frozen")]
    document = {"study": "s", "trials": 2, "fixed": {"dataset": "synthetic", "precision": "fp32"}}
    spec = StudySpec.model_validate({**document, "space": {"model": {"choice": paths}}})
    assert models_of(spec) == paths
    with pytest.raises(ConfigurationError, match="own_networks:Frozen has no trainable parameter"):
        check_models(spec, 10, STANDARD.shape, CPU)


def test_check_models_names_all_that_are_refused() -> None:
    paths = [f"{own_networks.PATH}:{name}" for name in ("Frozen", "Plain", "Complex")]
    document = {"study": "s", "trials": 2, "fixed": {"dataset": "synthetic", "precision": "fp32"}}
    spec = StudySpec.model_validate({**document, "space": {"model": {"choice": paths}}})
    expected = "2 networks cannot be trained:\n  .*Frozen has no trainable .*\n  .*phases is a complex"
    with pytest.raises(ConfigurationError, match=expected):
        check_models(spec, 10, STANDARD.shape, CPU)
