"""Weights and signals that training cannot use, and models of which a loop calls only parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.babysitter import Babysitter
from hpo.checks.measure.idle_weights import untrained

STEPS = 40


def network(*, hidden: int = 32) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2)
    )


def watched(
    model: nn.Module,
    run: Callable[[Tensor], Tensor] | None = None,
    *,
    target: Callable[[Tensor], Tensor] = lambda inputs: inputs[:, :2] * 2,
    steps: int = STEPS,
    dropout: float = 0.0,
    weight_decay: float = 0.0,
    clears: bool = True,
) -> Babysitter:
    """Train a regression and return the babysitter, which has seen the end."""
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-2, weight_decay=weight_decay)
    sitter = Babysitter(model, optimizer, task="regression", epochs=1, steps_per_epoch=steps)
    for _ in range(steps):
        inputs = torch.randn(32, 8)
        labels = target(inputs)
        loss = F.mse_loss((run or model)(inputs), labels)
        if clears:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss, labels)
    sitter.after()
    return sitter


def warned(sitter: Babysitter) -> set[str]:
    return {each.check for each in sitter.findings if each.severity in ("warn", "fatal")}


def test_sound_network_is_not_warned() -> None:
    assert warned(watched(network())) == set()


def test_units_that_start_alike_are_reported_at_the_end() -> None:
    model = network()
    for each in model.parameters():
        nn.init.zeros_(each)
    sitter = watched(model)
    assert "alike_units" in warned(sitter)
    assert sitter.verdict().cause == "symmetric_units"


def test_dead_units_without_examples_are_reported() -> None:
    model = network()
    nn.init.constant_(model[2].bias, -50.0)  # type: ignore[arg-type]
    sitter = watched(model)
    assert {"first_signal", "without_gradient"} & warned(sitter)
    assert sitter.verdict().cause == "dead_units"


def test_values_that_grow_from_layer_to_layer_are_a_bad_start() -> None:
    model = network()
    for each in model.parameters():
        nn.init.normal_(each, std=8.0)
    assert watched(model).verdict().cause == "bad_init"


def test_frozen_layers_as_drawn_are_reported() -> None:
    model = network(hidden=64)
    for each in list(model.parameters())[:-1]:
        each.requires_grad_(False)
    sitter = watched(model)
    assert "frozen_as_drawn" in warned(sitter)
    assert sitter.verdict().cause == "frozen_parameters"


def test_frozen_trained_layers_are_not_called_random() -> None:
    layer = nn.Linear(64, 64)
    assert untrained({"weight": layer.weight}) == ("weight",)
    with torch.no_grad():
        layer.weight += 0.02 * torch.randn(64, 64)
    assert untrained({"weight": layer.weight}) == ()


def test_embedding_as_drawn_is_told_from_a_trained_one() -> None:
    table = nn.Embedding(100, 32).weight.detach()
    assert untrained({"table": table}) == ("table",)
    assert untrained({"table": 0.8 * table}) == ()


@pytest.mark.parametrize("clears", [True, False])
def test_loop_that_calls_only_parts_is_audited(monkeypatch: pytest.MonkeyPatch, *, clears: bool) -> None:
    monkeypatch.setattr("hpo.checks.measure.parts._compiles", lambda: False)  # other tests do
    model = nn.ModuleDict({"body": nn.Sequential(nn.Linear(8, 32), nn.ReLU()), "head": nn.Linear(32, 2)})
    run = lambda inputs: model["head"](model["body"](inputs))  # noqa: E731
    sitter = watched(model, run, clears=clears)
    assert sitter.seen.audits
    assert ("stale_gradients" in warned(sitter)) is not clears


def test_weight_decay_that_outweighs_the_loss_is_reported() -> None:
    assert watched(network(), weight_decay=10.0).verdict().cause == "over_regularized"


def test_inputs_that_are_all_equal_are_reported() -> None:
    model = network()
    run = lambda inputs: model(torch.ones_like(inputs))  # noqa: E731
    sitter = watched(model, run, target=lambda inputs: inputs[:, :2].round())
    assert sitter.verdict().cause == "ignores_input"


def test_unused_branch_is_only_noted() -> None:
    model = network()
    model.unused = nn.Linear(4, 4, bias=False)
    sitter = watched(model, lambda inputs: model[:5](inputs))
    assert "untrained_parameters" not in warned(sitter)
