"""From the loss to the weights, in loops of any kind: what stops, cuts, starves or overturns the updates."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from hpo.checks.babysitter import Babysitter
from hpo.checks.measure.motion import RateRecord
from hpo.checks.measure.unregistered import unregistered

STEPS = 60
Loss = Callable[[nn.Module], Tensor]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))


def squared_error(model: nn.Module) -> Tensor:
    inputs = torch.randn(32, 4)
    return F.mse_loss(model(inputs), inputs.sum(1, keepdim=True))


def watched(
    model: nn.Module,
    optimizer: Optimizer,
    loss_of: Loss = squared_error,
    *,
    steps: int = STEPS,
    after_step: Callable[[int], object] = lambda step: None,
    task: str | None = "regression",
) -> Babysitter:
    """Train and return the babysitter, which has seen the end."""
    sitter = Babysitter(model, optimizer, task=task, epochs=1, steps_per_epoch=steps)  # type: ignore[arg-type]
    for step in range(steps):
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
        after_step(step)
    sitter.after()
    return sitter


def cause(sitter: Babysitter) -> str:
    return sitter.verdict().cause


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# schedules


def test_schedule_stepped_per_batch_is_named() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    sitter = watched(model, optimizer, after_step=lambda step: schedule.step())
    assert cause(sitter) == "schedule"
    assert sitter.verdict().change == {"code": "fix_schedule"}
    assert [each.lr for each in sitter.seen.updates.rates[:3]] == [0.1, 0.05, 0.025]


@pytest.mark.parametrize("name", ["restarts", "cosine", "one_cycle", "milestones", "exponential"])
def test_usual_schedules_are_not_blamed(name: str) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rates = torch.optim.lr_scheduler
    schedule = {
        "restarts": lambda: rates.CosineAnnealingWarmRestarts(optimizer, 10),
        "cosine": lambda: rates.CosineAnnealingLR(optimizer, STEPS),
        "one_cycle": lambda: rates.OneCycleLR(optimizer, 0.1, total_steps=STEPS),
        "milestones": lambda: rates.MultiStepLR(optimizer, [20, 40, 50]),
        "exponential": lambda: rates.ExponentialLR(optimizer, 1e-4 ** (1 / STEPS)),
    }[name]()
    sitter = watched(model, optimizer, after_step=lambda step: schedule.step())
    assert not [each for each in sitter.findings if each.severity in ("warn", "fatal")]


def test_rate_record_thins_out_evenly() -> None:
    record = RateRecord()
    for step in range(5000):
        record.take(step, 1 / (1 + step))
    steps = [each.step for each in record.rates]
    assert len(steps) <= 512 and steps[0] == 0 and steps[-1] > 4900
    assert len({later - earlier for earlier, later in pairwise(steps)}) == 1


# one of several optimizers


def _game(skipped: bool) -> Babysitter:
    """A generator and a discriminator; the generator steps every third time, or never."""
    generator, discriminator = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    nets = nn.ModuleList([generator, discriminator])
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-2) for each in (generator, discriminator)]
    sitter = Babysitter(nets, optimizers, task="generative")
    for step in range(STEPS):
        fake = generator(torch.randn(16, 2))
        real = torch.randn(16, 2) + 2
        loss = discriminator(fake.detach()).mean() - discriminator(real).mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        of_generator = -discriminator(fake).mean()
        optimizers[0].zero_grad()
        of_generator.backward()
        if step % 3 == 0 and not skipped:
            optimizers[0].step()
        sitter.step(of_generator)
    sitter.after()
    return sitter


def test_optimizer_of_several_that_never_steps_is_named() -> None:
    verdict = _game(skipped=True).verdict()
    assert verdict.cause == "no_update" and "optimizer 1 of 2" in verdict.text


def test_optimizer_that_steps_less_often_is_not_blamed() -> None:
    assert cause(_game(skipped=False)) == "nothing_wrong_seen"


# layers that are not registered


class Listed(nn.Module):
    """Two layers in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(4, 16), nn.Linear(16, 16)]
        self.head = nn.Linear(16, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.layers:
            inputs = F.relu(layer(inputs))
        return self.head(inputs)


def test_layers_in_a_list_are_named() -> None:
    model = Listed()
    verdict = watched(model, torch.optim.Adam(model.parameters(), lr=1e-2)).verdict()
    assert verdict.cause == "frozen_parameters" and "layers.0.weight" in verdict.text


def test_layers_in_a_list_that_an_optimizer_has_are_not_blamed() -> None:
    model = Listed()
    every = [*model.parameters(), *(each for layer in model.layers for each in layer.parameters())]
    assert cause(watched(model, torch.optim.Adam(every, lr=1e-2))) == "nothing_wrong_seen"


def test_unregistered_finds_tensors_and_skips_hidden_and_shared_modules() -> None:
    model = Listed()
    model.scale = torch.ones(1, requires_grad=True)
    model.__dict__["teacher"] = nn.Linear(2, 2)
    model.by_name = {"again": model.head, "other": nn.Linear(2, 2, bias=False)}  # type: ignore[assignment]
    assert set(unregistered(model)) == {
        *("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"),
        *("scale", "by_name.other.weight"),
    }


# gradients of zero


def test_weights_of_zero_are_not_called_missing_steps() -> None:
    model = nn.Sequential(nn.Linear(4, 16, bias=False), nn.ReLU(), nn.Linear(16, 1, bias=False))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    sitter = watched(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    assert cause(sitter) == "symmetric_units"
    assert sitter.verdict().change == {"code": "fix_init"}


def test_gradients_that_underflow_are_not_called_missing_steps() -> None:
    model = network()
    sitter = watched(
        model, torch.optim.SGD(model.parameters(), lr=0.1), lambda net: squared_error(net) * 1e-30 * 1e-20
    )
    assert cause(sitter) == "vanishing_gradients"


# graphs


def test_sum_of_losses_that_keeps_their_graphs_is_named() -> None:
    model, kept = network(), []

    def loss_of(net: nn.Module) -> Tensor:
        loss = squared_error(net)
        kept.append(loss / 2)
        return loss

    sitter = watched(model, torch.optim.Adam(model.parameters(), lr=1e-2), loss_of)
    assert cause(sitter) == "graph_kept" and sitter.seen.updates.kept_graphs == 8


def test_losses_kept_for_one_step_are_not_blamed() -> None:
    model, kept = network(), {}

    def loss_of(net: nn.Module) -> Tensor:
        kept["loss"] = squared_error(net)
        return kept["loss"]

    sitter = watched(model, torch.optim.Adam(model.parameters(), lr=1e-2), loss_of)
    assert cause(sitter) == "nothing_wrong_seen"


@pytest.mark.parametrize("is_detached", [False, True])
def test_hidden_state_that_carries_its_graph_is_named(is_detached: bool) -> None:
    cell, head = nn.GRUCell(2, 8), nn.Linear(8, 1)
    model = nn.ModuleDict({"cell": cell, "head": head})

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts, self.hidden = model, torch.zeros(4, 8)

        def forward(self, inputs: Tensor) -> Tensor:
            self.hidden = self.parts["cell"](inputs, self.hidden)
            return self.parts["head"](self.hidden)

    whole = Recurrent()
    optimizer = torch.optim.SGD(whole.parameters(), lr=1e-2)
    sitter = Babysitter(whole, optimizer)
    try:
        for _ in range(4):
            loss = whole(torch.randn(4, 2)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
            if is_detached:
                whole.hidden = whole.hidden.detach()
    except RuntimeError as error:  # the second backward pass through a freed graph
        assert "second time" in str(error)
    sitter.after()
    assert sitter.seen.updates.carried_from == (-1 if is_detached else 0)
    assert any(each.cause == "graph_kept" for each in sitter.findings) is not is_detached


# learning rates


@pytest.mark.parametrize(
    ("make", "lr", "named"),
    [
        (torch.optim.SGD, 1e-7, "lr_too_low"),
        (torch.optim.Adam, 1e-7, "lr_too_low"),
        (torch.optim.RMSprop, 1e-8, "lr_too_low"),
        (torch.optim.Adam, 5.0, "lr_too_high"),
        (torch.optim.AdamW, 5.0, "lr_too_high"),
    ],
)
def test_learning_rate_far_off_is_named(make: Callable[..., Optimizer], lr: float, named: str) -> None:
    model = network()
    sitter = watched(model, make(model.parameters(), lr=lr))
    assert cause(sitter) == named
    assert (sitter.verdict().change["lr"] > lr) is (named == "lr_too_low")


@pytest.mark.parametrize(
    ("make", "lr"), [(torch.optim.SGD, 0.05), (torch.optim.Adam, 1e-2), (torch.optim.RMSprop, 1e-3)]
)
def test_usual_learning_rate_is_not_blamed(make: Callable[..., Optimizer], lr: float) -> None:
    model = network()
    assert cause(watched(model, make(model.parameters(), lr=lr))) == "nothing_wrong_seen"


def test_policy_with_huge_steps_is_named_although_its_loss_tells_nothing() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=5.0)
    sitter = watched(model, optimizer, lambda net: net(torch.randn(8, 4)).mean(), task="reinforcement")
    assert cause(sitter) == "lr_too_high"


def test_gradients_clipped_to_nothing_are_named() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sitter = Babysitter(model, optimizer, task="regression")
    for _ in range(STEPS):
        loss = squared_error(model)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-8)
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    assert cause(sitter) == "schedule" and "clipped" in sitter.verdict().text


# what is detached


class Autoencoder(nn.Module):
    """A variational autoencoder of 8 numbers; its decoder may get a detached code."""

    def __init__(self, is_detached: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(8, 8), nn.Linear(4, 8)
        self.is_detached = is_detached

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(inputs).chunk(2, 1)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return self.decoder(code.detach() if self.is_detached else code), mean, log_variance


@pytest.mark.parametrize("is_detached", [False, True])
def test_decoder_with_a_detached_code_is_named(is_detached: bool) -> None:
    model = Autoencoder(is_detached)
    before = [each.clone() for each in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    sitter = Babysitter(model, optimizer, task="generative", epochs=1, steps_per_epoch=STEPS)
    examples = torch.randn(32, 8)
    sitter.before(examples, examples)
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))
    for _ in range(STEPS):
        made, mean, log_variance = model(examples)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
        loss = F.mse_loss(made, examples) + 0.01 * divergence
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sitter.step(loss)
    sitter.after()
    assert (cause(sitter) == "detached") is is_detached


def test_codebook_with_a_straight_through_gradient_is_not_blamed() -> None:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.codes, self.decoder = nn.Linear(8, 4), nn.Embedding(16, 4), nn.Linear(4, 8)

        def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
            points = self.encoder(inputs)
            chosen = self.codes(torch.cdist(points, self.codes.weight).argmin(1))
            return self.decoder(points + (chosen - points).detach()), F.mse_loss(chosen, points.detach())

    model = Quantized()
    sitter = Babysitter(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    sitter.before(torch.randn(32, 8), torch.randn(32, 8))
    assert sitter.seen.preflight is not None and sitter.seen.preflight.without_gradient == ("codes.weight",)
    assert sitter.seen.preflight.cut_off == ()


# scripted models


def _scripted(clears: bool, watch: bool) -> tuple[list[float], Babysitter | None]:
    torch.manual_seed(0)
    model = torch.jit.script(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sitter = Babysitter(model, optimizer, classes=3, epochs=1, steps_per_epoch=40) if watch else None
    inputs = torch.randn(64, 4)
    labels = inputs[:, :3].argmax(1)
    if sitter is not None:
        sitter.before(inputs, labels)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(model(inputs), labels)
        if clears:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if sitter is not None:
            sitter.step(loss, labels)
    if sitter is not None:
        sitter.after()
    return losses, sitter


@pytest.mark.parametrize("clears", [False, True])
def test_scripted_model_is_not_disturbed_and_stale_gradients_are_found(clears: bool) -> None:
    plain, _ = _scripted(clears, watch=False)
    losses, sitter = _scripted(clears, watch=True)
    assert losses == plain and sitter is not None
    assert any(each.cause == "stale_gradients" for each in sitter.findings) is not clears
