"""Loops with other steps, networks and losses than the usual."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore
from torch.nn import functional as F

from tests.helpers.loops import STEPS, Body, Watch, classes, kind, numbers, train


@kind
def quasi_newton_closures(watch: Watch) -> Any:
    model = nn.Linear(8, 1)
    step = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    sitter, losses = watch(model, step), []
    x = numbers()

    def closure() -> Tensor:
        step.zero_grad()
        loss = F.mse_loss(model(x), x[:, :1])
        loss.backward()
        return loss

    sitter.before(x, x[:, :1])
    for _ in range(STEPS):
        losses.append(step.step(closure))
        sitter.step(losses[-1])
    sitter.after()
    return model, losses


@kind
def two_networks(watch: Watch) -> Any:
    """The discriminator is also run, and gets gradients, in the steps of the generator."""
    model = nn.ModuleDict(
        {"g": nn.Linear(4, 8), "d": nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))}
    )
    steps = [torch.optim.Adam(model[name].parameters(), lr=0.01) for name in ("d", "g")]
    own, both = watch(model["d"], steps[0], task="generative"), watch(model, steps)
    losses = []
    for _ in range(STEPS):
        fake, ones = model["g"](torch.randn(24, 4)), torch.ones(24, 1)
        found = F.binary_cross_entropy_with_logits(model["d"](numbers()), ones)
        found = found + F.binary_cross_entropy_with_logits(model["d"](fake.detach()), 0 * ones)
        steps[0].zero_grad()
        found.backward()
        steps[0].step()
        fooled = F.binary_cross_entropy_with_logits(model["d"](fake), ones)
        steps[1].zero_grad()
        fooled.backward()
        steps[1].step()
        own.step(found)
        both.step(found + fooled)
        losses += [found.detach(), fooled.detach()]
    own.after()
    both.after()
    return model, losses


@kind
def updated_by_hand(watch: Watch) -> Any:
    model, losses = nn.Linear(8, 3), []
    sitter = watch(model)
    sitter.before(numbers(), classes())
    for _ in range(STEPS):
        model.zero_grad()
        loss = F.cross_entropy(model(numbers()), classes())
        loss.backward()
        for each in model.parameters():
            assert each.grad is not None
            each.data.add_(each.grad, alpha=-0.1)
        sitter.step(loss, classes())
        losses.append(loss.detach())
    sitter.after()
    return model, losses


@kind
def fused_steps(watch: Watch) -> Any:
    model = Body(lambda x: x)
    return train(watch, model, optimizer=torch.optim.AdamW(model.parameters(), lr=0.01, fused=True))


@kind
def parameters_that_are_views(watch: Watch) -> Any:
    model = nn.Linear(8, 3)
    flat = torch.cat([model.weight.detach().flatten(), model.bias.detach()])
    model.weight.data, model.bias.data = flat[:24].view(3, 8), flat[24:]
    return train(watch, model)


@kind
def several_passes_a_step(watch: Watch) -> Any:
    return train(watch, Body(lambda x: x), call=lambda model, x: (model(x) + model(x.flip(1))) / 2)


@kind
def keyword_inputs(watch: Watch) -> Any:
    class Keywords(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, *, x: Tensor, scale: Tensor | None = None) -> Tensor:
            logits: Tensor = self.layer(x if scale is None else x * scale)
            return logits

    return train(watch, Keywords(), lambda: {"x": numbers()}, call=lambda model, batch: model(**batch))


@kind
def own_random_numbers(watch: Watch) -> Any:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls, self.history = nn.Linear(8, 3), 0, list[float]()
            self.generator, self.state = torch.Generator().manual_seed(1), torch.zeros(8)

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.history.append(random.random())
            self.state += x.detach().mean(0)
            x = x + torch.randn(x.shape, generator=self.generator) * float(np.random.rand()) + self.state
            logits: Tensor = self.layer(x * (1 + self.calls / 100) * self.history[-1])
            return logits

    return train(watch, Noisy())


@kind
def parametrized_weights(watch: Watch) -> Any:
    model = Body(lambda x: x)
    nn.utils.parametrizations.spectral_norm(model.last)
    nn.utils.parametrizations.weight_norm(model.layers[0])
    return train(watch, model)


@kind
def quantization_aware(watch: Watch) -> Any:
    model = Body(lambda x: x)
    model.layers[0].fake = torch.ao.quantization.FakeQuantize()
    model.take = model.layers[0].fake
    return train(watch, model)


@kind
def several_processes(watch: Watch) -> Any:
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        return train(watch, nn.parallel.DistributedDataParallel(Body(lambda x: x)))
    finally:
        dist.destroy_process_group()


@kind
def copies_and_files(watch: Watch) -> Any:
    """A moving average of the weights, and a whole model in a file."""

    def between(model: nn.Module) -> None:
        average = torch.optim.swa_utils.AveragedModel(model)
        assert len(pickle.loads(pickle.dumps(model)).state_dict()) == len(model.state_dict())
        F.cross_entropy(average(numbers()), classes()).backward()
        copy.deepcopy(model)(numbers())

    return train(watch, nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)), between=between)


@kind
def gradients_of_gradients(watch: Watch) -> Any:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        value = F.cross_entropy(logits, labels)
        if not logits.requires_grad:
            return value
        (slope,) = torch.autograd.grad(logits.sum(), [next(model.parameters())], create_graph=True)
        return value + slope.square().sum()

    model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
    return train(watch, model, loss=loss)


@kind
def functional_calls(watch: Watch) -> Any:
    model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))

    def call(net: nn.Module, x: Tensor) -> Tensor:
        def one(weights: dict[str, Tensor], row: Tensor) -> Tensor:
            return torch.func.functional_call(net, weights, (row,)).square().sum()

        weights = {name: each.detach() for name, each in net.named_parameters()}
        slopes = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0))(weights, x)
        logits: Tensor = net(x) + 0 * slopes["0.bias"].sum()
        return logits

    return train(watch, model, call=call)


@kind
def checkpointed_activations(watch: Watch) -> Any:
    model = Body(lambda x: x)
    return train(
        watch,
        model,
        call=lambda net, x: torch.utils.checkpoint.checkpoint(net, x.requires_grad_(), use_reentrant=False),
    )


@kind
def segmentation(watch: Watch) -> Any:
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))
    return train(watch, model, lambda: torch.randn(12, 1, 7, 5), labels=lambda: torch.randint(3, (12, 7, 5)))


@kind
def regression(watch: Watch) -> Any:
    return train(
        watch, nn.Linear(8, 1), loss=F.mse_loss, labels=lambda: torch.randn(24, 1), loss_function=F.mse_loss
    )


@kind
def language_model(watch: Watch) -> Any:
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20), nn.Flatten(0, 1))
    return train(
        watch, model, lambda: torch.randint(20, (7, 5)), labels=lambda: torch.randint(20, (35,)), classes=20
    )


@kind
def several_labels(watch: Watch) -> Any:
    def loss(logits: Tensor, labels: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(logits, labels[0]) + F.mse_loss(logits[:, 0], labels[1])

    return train(watch, Body(lambda x: x), loss=loss, labels=lambda: (classes(), torch.randn(24)))


@kind
def complex_outputs(watch: Watch) -> Any:
    model = nn.Linear(8, 3, dtype=torch.complex64)
    return train(watch, model, lambda: numbers() + 0j, loss=lambda out, y: F.cross_entropy(out.abs(), y))


@kind
def mixed_precision(watch: Watch) -> Any:
    def call(net: nn.Module, x: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return net(x)

    return train(watch, Body(lambda x: x), call=call)


@kind
def inputs_changed_in_place(watch: Watch) -> Any:
    return train(watch, Body(lambda x: x.sub_(0.5).mul_(2)))


@kind
def frozen_and_unused(watch: Watch) -> Any:
    model = Body(lambda x: x)
    model.layers[0].requires_grad_(False)
    model.unused = nn.Linear(2, 2)
    return train(watch, model)


@kind
def graph_kept_from_step_to_step(watch: Watch) -> Any:
    """A state that is carried on, with backward through the last two steps."""
    model, state = nn.GRUCell(8, 3), torch.zeros(24, 3)
    step = torch.optim.SGD(model.parameters(), lr=0.05)
    sitter, losses = watch(model, step), []
    for number in range(STEPS):
        new = model(numbers(), state)
        loss = F.cross_entropy(new, classes())
        step.zero_grad()
        loss.backward(retain_graph=number % 2 == 0)
        if number % 2:
            step.step()
        sitter.step(loss, classes())
        losses.append(loss.detach())
        state = new if number % 2 == 0 else new.detach()
    sitter.after()
    return model, losses
