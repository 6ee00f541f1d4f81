"""Loops whose models take and give what users' models take and give."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.loops import Body, Watch, classes, kind, numbers, train


@kind
def tuples(watch: Watch) -> Any:
    return train(watch, Body(lambda pair: pair[0] + pair[1]), lambda: (numbers(), numbers()))


@kind
def lists(watch: Watch) -> Any:
    return train(watch, Body(lambda several: several[0]), lambda: [numbers()])


@kind
def dicts(watch: Watch) -> Any:
    model = Body(lambda batch: batch["x"], lambda logits: {"loss": logits.sum(), "logits": logits})
    return train(
        watch, model, lambda: {"x": numbers()}, loss=lambda out, y: F.cross_entropy(out["logits"], y)
    )


Pair = collections.namedtuple("Pair", "logits features")


@kind
def named_tuples(watch: Watch) -> Any:
    model = Body(lambda batch: batch.features, lambda logits: Pair(logits.detach(), logits))
    return train(
        watch, model, lambda: Pair(classes(), numbers()), loss=lambda out, y: F.cross_entropy(out.features, y)
    )


@dataclass
class Outputs:
    extra: None
    logits: Tensor


class Graph:
    """Like those of graph libraries: attributes, and callable."""

    def __init__(self) -> None:
        self.store = {"x": numbers(), "edges": torch.eye(24).to_sparse()}

    def __call__(self) -> None:
        raise AssertionError("unexpected call")


@kind
def graphs(watch: Watch) -> Any:
    model = Body(
        lambda graph: torch.sparse.mm(graph.store["edges"], graph.store["x"]), lambda x: Outputs(None, x)
    )
    return train(watch, model, Graph, loss=lambda out, y: F.cross_entropy(out.logits, y))


@kind
def packed_sequences(watch: Watch) -> Any:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.last = nn.LSTM(8, 8), nn.Linear(8, 3)

        def forward(self, batch: nn.utils.rnn.PackedSequence) -> Any:
            out, state = self.cells(batch)
            return self.last(nn.utils.rnn.pad_packed_sequence(out)[0][0]), state

    def make() -> Any:
        return nn.utils.rnn.pack_sequence([torch.randn(3, 8) for _ in range(24)])

    return train(watch, Recurrent(), make, loss=lambda out, y: F.cross_entropy(out[0], y))


@kind
def sparse_inputs(watch: Watch) -> Any:
    return train(watch, Body(lambda x: x.to_dense()), lambda: numbers().relu().to_sparse())


@kind
def nested_tensors(watch: Watch) -> Any:
    def make() -> Tensor:
        return torch.nested.nested_tensor([torch.randn(2 + n % 2, 8) for n in range(24)], layout=torch.jagged)

    return train(watch, Body(lambda x: torch.stack([each.mean(0) for each in x.unbind()])), make)


@kind
def sparse_gradients(watch: Watch) -> Any:
    model = nn.EmbeddingBag(50, 3, sparse=True)
    step = torch.optim.SparseAdam(list(model.parameters()), lr=0.1)
    return train(watch, model, lambda: torch.randint(50, (24, 5)), optimizer=step)


@kind
def lazy_modules(watch: Watch) -> Any:
    model = nn.Sequential(nn.LazyLinear(12), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(3))
    return train(watch, model)


@kind
def scripted(watch: Watch) -> Any:
    return train(watch, torch.jit.script(nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))))


@kind
def traced(watch: Watch) -> Any:
    return train(watch, torch.jit.trace(nn.Linear(8, 3), numbers()))
