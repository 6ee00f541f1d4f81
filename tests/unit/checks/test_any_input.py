"""Models, inputs, outputs and labels of any kind are watched; outputs in a tuple like one tensor."""

from __future__ import annotations

import collections
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo import Babysitter
from hpo.checks.measure.examples import class_labels, examples_of
from hpo.checks.measure.nested import is_readable, outputs, tensors
from hpo.errors import UserError

Data = collections.namedtuple("Data", "x edge_index")
X = torch.randn(40, 8)


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def failures(sitter: Babysitter) -> list[str]:
    return [each.message for each in sitter.findings if each.check == "babysitter"]


class Taking(nn.Module):
    """Takes whatever holds a batch (n, 8) first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, batch: Any) -> Tensor:
        logits: Tensor = self.layer(tensors(batch)[0])
        return logits


@pytest.mark.parametrize(
    "batch",
    [(X, X), [X], {"x": X}, Data(X, X), nn.utils.rnn.pack_sequence([X]), X],
    ids=["tuple", "list", "dict", "named", "packed", "tensor"],
)
def test_a_watched_model_takes_what_it_took_before(batch: Any) -> None:
    model = Taking()
    sitter = Babysitter(model, sgd(model), classes=3)
    F.cross_entropy(model(batch), torch.arange(40) % 3).backward()
    sitter.before(batch, torch.arange(40) % 3)
    sitter.step(1.0)
    sitter.epoch()
    assert sitter.seen.preflight is not None and sitter.seen.preflight.loss > 0.5
    assert len(sitter.seen.forwards) == 1 and failures(sitter) == []


FORMS: dict[str, tuple[nn.Module, Any, Any]] = {
    "features": (nn.Linear(20, 3), torch.randn(128, 20), torch.arange(128) % 3),
    "tokens": (
        nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3)),
        torch.randint(9, (64, 5)),
        torch.arange(64) % 3,
    ),
    "one pixel": (
        nn.Sequential(nn.Flatten(), nn.Linear(1, 3)),
        torch.randn(64, 1, 1, 1),
        torch.arange(64) % 3,
    ),
    "uint8": (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 3)),
        torch.randint(255, (64, 3, 2, 2)).float(),
        (torch.arange(64) % 3).to(torch.uint8),
    ),
    "labels (n, 1)": (nn.Linear(8, 3), X, (torch.arange(40) % 3)[:, None]),
}


@pytest.mark.parametrize("form", FORMS)
def test_before_measures_classes_of_any_form(form: str) -> None:
    model, given, labels = FORMS[form]
    sitter = Babysitter(model, sgd(model), classes=3)
    sitter.before(given, labels, given, labels)
    facts = sitter.seen.preflight
    assert facts is not None and failures(sitter) == []
    assert facts.loss > 0.5 and sum(facts.labels.counts) == len(labels)
    assert facts.memorization is not None and facts.memorization.examples == 20


OTHERS: dict[str, tuple[nn.Module, Any, Any, int | None]] = {
    "numbers": (
        nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),
        torch.randn(128, 1, 8, 8),
        torch.randn(128, 1),
        1,
    ),
    "flat tokens": (
        nn.Sequential(nn.Embedding(40, 16), nn.Linear(16, 40), nn.Flatten(0, 1)),
        torch.randint(40, (35, 20)),
        torch.randint(40, (700,)),
        40,
    ),
    "pixels": (nn.Conv2d(1, 4, 3, padding=1), torch.randn(8, 1, 8, 8), torch.zeros(8, 8, 8).long(), 4),
    "several": (nn.Linear(8, 3), X, (torch.randn(40), torch.randn(40, 3)), None),
    "none": (nn.Linear(8, 3), X, None, None),
}


@pytest.mark.parametrize("form", OTHERS)
def test_before_and_step_take_labels_that_are_no_classes(form: str) -> None:
    model, given, labels, classes = OTHERS[form]
    sitter = Babysitter(model, sgd(model), classes=classes)
    sitter.before(given, labels)
    sitter.step(model(given).mean(), labels)
    facts = sitter.seen.preflight
    assert facts is not None and facts.memorization is None
    assert facts.loss == pytest.approx(3.8, abs=0.4) if form == "flat tokens" else math.isnan(facts.loss)
    assert facts.layers.layers and facts.without_gradient == ()
    assert [each for each in failures(sitter) if "check " not in each] == []


@pytest.mark.parametrize(
    "batch", [(X, torch.arange(40) % 3), {"x": X, "labels": torch.arange(40) % 3}], ids=["tuple", "dict"]
)
def test_before_takes_a_batch_of_the_loader(batch: Any) -> None:
    model = Taking()
    sitter = Babysitter(model, sgd(model), classes=3)
    sitter.before(batch)
    assert sitter.seen.preflight is not None and sitter.seen.preflight.labels.counts == (14, 13, 13)


def test_examples_of_a_batch_of_several_inputs() -> None:
    examples = examples_of([X, X + 1, torch.arange(40)], None)
    assert len(examples.inputs) == 2 and examples.count == 40 and examples.can_be_cut
    assert examples.first(3).inputs[1].shape == (3, 8)


@pytest.mark.parametrize("loss", ["high", None, torch.zeros(0), [1.0]])
def test_step_a_loss_that_is_no_number_is_an_error_at_once(loss: Any) -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"^loss: "):
        Babysitter(model, sgd(model)).step(loss)


def test_before_without_a_tensor_is_an_error_at_once() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"^before: list holds no tensor"):
        Babysitter(model, sgd(model)).before(["a", "b"], [0, 1])


class Pair(nn.Module):
    """Returns logits, alone or in a structure."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.layer, self.form = nn.Linear(16, 4), form

    def forward(self, x: Tensor) -> Any:
        logits = self.layer(x)
        return {
            "tensor": logits,
            "tuple": (logits, x),
            "second": (x, x.mean(), logits),
            "dict": {"loss": logits.mean(), "logits": logits},
        }[self.form]


def pick(output: Any, form: str) -> Tensor:
    place: Any = {"tensor": slice(None), "tuple": 0, "second": 2, "dict": "logits"}[form]
    found: Tensor = output[place]
    return found


@pytest.mark.parametrize("form", ["tensor", "tuple", "second", "dict"])
def test_outputs_in_a_structure_are_audited_like_a_tensor(form: str) -> None:
    torch.manual_seed(0)
    model = Pair(form)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    sitter = Babysitter(model, optimizer, classes=4)
    for _ in range(100):
        x = torch.randn(32, 16)
        labels = x[:, :4].argmax(1)
        loss = F.cross_entropy(pick(model(x), form), labels)
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    assert sitter.verdict().cause == "stale_gradients"
    for audit in sitter.seen.audits:
        assert (audit.cosine, audit.scale) == pytest.approx((1, 1), abs=1e-4)
        assert audit.loss == pytest.approx(audit.cross_entropy, rel=1e-5)


@pytest.mark.parametrize("sparse", [True, False])
def test_sparse_gradients_are_watched(sparse: bool) -> None:
    model = nn.EmbeddingBag(50, 3, sparse=sparse)
    optimizer = (torch.optim.SparseAdam if sparse else torch.optim.Adam)(list(model.parameters()), lr=0.1)
    sitter = Babysitter(model, optimizer, classes=3)
    before = model.weight.detach().clone()
    F.cross_entropy(model(torch.randint(50, (8, 5))), torch.arange(8) % 3).backward()
    optimizer.step()
    sitter.step(1.0)
    assert not torch.equal(model.weight, before) and failures(sitter) == []


def test_several_optimizers_make_one_step_together() -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    several = [torch.optim.SGD(model[place].parameters(), lr=0.1) for place in (0, 2)]
    sitter = Babysitter(model, several, classes=3)
    sitter.before(X, torch.arange(40) % 3)
    for _ in range(9):
        loss = F.cross_entropy(model(X), torch.arange(40) % 3)
        model.zero_grad()
        loss.backward()
        for optimizer in several:
            optimizer.step()
        sitter.step(loss)
    sitter.close()
    sitter.state_dict()
    assert sitter.seen.optimizer_steps == 9 and [each.step for each in sitter.seen.snapshots] == [0, 8]
    for shot in sitter.seen.snapshots:
        assert all(layer.update_ratio > 0 and layer.gradient_norm > 0 for layer in shot.layers)


def test_a_loop_that_updates_by_hand_has_steps_and_motion() -> None:
    model = nn.Linear(8, 3)
    sitter = Babysitter(model, classes=3)
    sitter.before(X, torch.arange(40) % 3)
    for _ in range(9):
        loss = F.cross_entropy(model(X), torch.arange(40) % 3)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for each in model.parameters():
                assert each.grad is not None
                each.sub_(0.1 * each.grad)
        sitter.step(loss, torch.arange(40) % 3)
    sitter.state_dict()
    assert sitter.seen.optimizer_steps == 9 and len(sitter.seen.audits) == 3
    assert sitter.seen.snapshots[-1].layers[0].update_ratio > 0 and failures(sitter) == []


def test_outputs_are_the_floats_logits_first() -> None:
    logits, loss, counts = torch.randn(4, 3), torch.tensor(1.0), torch.arange(4)
    assert [id(each) for each in outputs({"loss": loss, "n": counts, "logits": logits})] == [
        id(logits),
        id(loss),
    ]
    assert outputs((loss, [logits]))[0] is logits and outputs("text") == outputs(iter([logits])) == []


def test_is_readable_only_dense_tensors() -> None:
    kinds = [X.to_sparse(), X + 0j, X.to("meta"), torch.nested.nested_tensor([X], layout=torch.jagged)]
    assert is_readable(X) and not any(map(is_readable, kinds))


def test_class_labels_integers_by_example() -> None:
    whole = torch.arange(3)
    assert class_labels(whole[:, None]) is not None and class_labels(whole) is not None
    for other in (
        whole.float(),
        whole > 1,
        whole[None],
        whole.reshape(3, 1, 1),
        None,
        [0, 1],
        (whole.float(), whole),
    ):
        assert class_labels(other) is None


def test_a_scripted_model_is_watched_by_its_steps() -> None:
    model = torch.jit.script(nn.Linear(8, 3))
    sitter = Babysitter(model, sgd(model), classes=3)
    sitter.before(X, torch.arange(40) % 3)
    sitter.step(1.0)
    assert sitter.seen.preflight is not None and failures(sitter) == []
