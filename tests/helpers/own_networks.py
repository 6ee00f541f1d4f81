"""Networks that users might write: each is trained as it is meant, or refused by name."""

from __future__ import annotations

import os
import random
import sys
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from hpo.models.options import NetworkOptions

PATH = __name__


class Plain(nn.Module):
    """Two dense layers; the networks below differ from it in one thing."""

    def __init__(self, options: NetworkOptions, *, in_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.body = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 12), nn.ReLU())
        self.head = nn.Linear(12, classes)
        self.extend()

    def extend(self) -> None:
        """Add what is special."""

    def forward(self, images: Tensor) -> Any:
        return self.head(self.body(images))


def lazy(options: NetworkOptions, *, in_shape: tuple[int, int, int], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(4, 3, stride=4), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes)
    )


class LateModule(Plain):
    def forward(self, images: Tensor) -> Any:
        features = self.body(images)
        if not hasattr(self, "late"):
            self.late = nn.Linear(features.shape[1], self.classes)
        return self.late(features) + self.head(features)


class ExtraDict(Plain):
    def get_extra_state(self) -> Any:
        return {"version": 3, "names": ("a", None), "limits": [1.5, float("inf")], 7: torch.arange(3)}

    def set_extra_state(self, state: Any) -> None:
        assert state["names"] == ("a", None) and state["limits"] == [1.5, float("inf")]
        assert state["version"] == 3 and state[7].tolist() == [0, 1, 2]


class Counting(Plain):
    """Its outputs depend on the number of its steps, which it returns as extra state."""

    def extend(self) -> None:
        self.steps = 0

    def forward(self, images: Tensor) -> Any:
        self.steps += self.training
        return super().forward(images) * (1 + 0.01 * self.steps)

    def get_extra_state(self) -> Any:
        return self.steps

    def set_extra_state(self, state: Any) -> None:
        self.steps = int(state)


class ExtraObject(Plain):
    def get_extra_state(self) -> Any:
        return random.Random(3)


class Tied(Plain):
    def extend(self) -> None:
        self.first, self.second = nn.Linear(12, 12), nn.Linear(12, 12)
        self.second.weight = self.first.weight

    def forward(self, images: Tensor) -> Any:
        return self.head(self.second(self.first(self.body(images))))


class SharedBuffer(Plain):
    def extend(self) -> None:
        ones = torch.ones(4)
        self.register_buffer("one", ones)
        self.register_buffer("other", ones)


class NanBuffer(Plain):
    def extend(self) -> None:
        self.register_buffer("best", torch.full((2,), float("nan")))


class Transposed(Plain):
    def extend(self) -> None:
        self.head.weight = nn.Parameter(torch.randn(12, self.classes).mul(0.1).t())


class Parametrized(Plain):
    def extend(self) -> None:
        parametrizations.weight_norm(self.head)
        parametrizations.spectral_norm(self.body[2])


class Locked(Plain):
    """Cannot be copied or pickled."""

    def extend(self) -> None:
        self.lock = threading.Lock()
        self.scale = lambda images: 2 * images

    def forward(self, images: Tensor) -> Any:
        return super().forward(self.scale(images))


class InPlace(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images.mul_(2.0))


class ImageByImage(Plain):
    def forward(self, images: Tensor) -> Any:
        return torch.stack([super(ImageByImage, self).forward(image[None])[0] for image in images])


class Converting(Plain):
    dtype = torch.float64

    def extend(self) -> None:
        self.to(self.dtype)

    def forward(self, images: Tensor) -> Any:
        return super().forward(images.to(self.dtype))


class ConvertingToBf16(Converting):
    dtype = torch.bfloat16


class GlobalNoise(Plain):
    """Draws from the generators of NumPy and Python, when it is built and in each step."""

    def extend(self) -> None:
        with torch.no_grad():
            noise = torch.from_numpy(np.random.standard_normal(self.classes).astype(np.float32))
            self.head.bias.add_(random.random() + noise)

    def forward(self, images: Tensor) -> Any:
        if self.training:
            noise = torch.from_numpy(np.random.standard_normal(images.shape).astype(np.float32))
            images = images + random.random() * noise
        return super().forward(images)


class NoisyCounting(Counting, GlobalNoise):
    """Trains on noise of all global generators and on the number of its steps."""

    def extend(self) -> None:
        Counting.extend(self)
        GlobalNoise.extend(self)


class Prints(ExtraDict):
    """Prints, has a lazy layer and extra state."""

    def extend(self) -> None:
        self.head = nn.LazyLinear(self.classes)

    def forward(self, images: Tensor) -> Any:
        sys.stdout.write("a forward pass\n")
        return super().forward(images)


def traced(options: NetworkOptions, *, in_shape: tuple[int, int, int], classes: int) -> Any:
    network = Plain(options, in_shape=in_shape, classes=classes)
    return torch.jit.trace(network, torch.zeros(2, *in_shape))


class OwnGenerator(Plain):
    def extend(self) -> None:
        self.generator = np.random.default_rng()

    def forward(self, images: Tensor) -> Any:
        noise = float(self.generator.standard_normal()) if self.training else 0.0
        return super().forward(images + noise)


class BuiltByChance(Plain):
    def extend(self) -> None:
        with torch.no_grad():
            self.head.bias.add_(int.from_bytes(os.urandom(2)) / 2**16)


class WarmUp(Plain):
    """Counts its steps in an attribute, which only training reads."""

    def extend(self) -> None:
        self.steps = 0

    def forward(self, images: Tensor) -> Any:
        self.steps += self.training
        return super().forward(images * (1 + self.steps if self.training else 1))


class InTraining(Plain):
    """Returns something else in training mode."""

    def other(self, logits: Tensor) -> Any:
        return (logits, logits)

    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return self.other(logits) if self.training else logits


class DictInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        return {"logits": logits}


class NothingInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        return None


class MapInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        return logits[:, :, None, None]


class MoreClassesInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        return torch.cat([logits, logits[:, :1]], dim=1)


class RaisesInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        raise ValueError("no gradient today")


class ExitsInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        sys.exit(3)


class DetachedInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        return logits.detach()


class GrowsInTraining(InTraining):
    def other(self, logits: Tensor) -> Any:
        if not hasattr(self, "slope"):
            self.slope = nn.Parameter(torch.ones(self.classes))
        return logits * self.slope


class FailsLater(Plain):
    """Raises after more steps than a rehearsal takes."""

    steps: Tensor

    def extend(self) -> None:
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, images: Tensor) -> Any:
        self.steps += self.training
        if self.training and self.steps > 4:
            raise ValueError("a rare batch")
        return super().forward(images)


class Map(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images)[:, :, None, None]


class Squeezed(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images).squeeze()


class NeedsTwo(Plain):
    def forward(self, images: Tensor) -> Any:
        if len(images) < 2:
            raise ValueError("a batch of one")
        return super().forward(images)


class NeedsGradient(Plain):
    def forward(self, images: Tensor) -> Any:
        with torch.enable_grad():
            images = images.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(super().forward(images).sum(), images, create_graph=True)
        return super().forward(images + gradient)


class Frozen(Plain):
    def extend(self) -> None:
        self.requires_grad_(False)


class Complex(Plain):
    def extend(self) -> None:
        self.phases = nn.Parameter(torch.randn(self.classes, dtype=torch.complex64))

    def forward(self, images: Tensor) -> Any:
        return super().forward(images) * self.phases.abs()


class Double(Plain):
    def extend(self) -> None:
        self.double()


class Expanded(Plain):
    """Training it with a fused optimizer writes beyond its memory."""

    def extend(self) -> None:
        self.slope = nn.Parameter(torch.ones(1).expand(self.classes))

    def forward(self, images: Tensor) -> Any:
        return super().forward(images) * self.slope


class UnusedLazy(Plain):
    def extend(self) -> None:
        self.unused = nn.LazyLinear(3)


class Elsewhere(Plain):
    def extend(self) -> None:
        self.to("meta")


class Sparse(Plain):
    def extend(self) -> None:
        self.words = nn.Embedding(4, self.classes, sparse=True)

    def forward(self, images: Tensor) -> Any:
        return super().forward(images) + self.words.weight.sum(0)


class ForgetfulStatistics(Plain):
    """Keeps running statistics that its state_dict leaves out, and evaluates with them."""

    running: Tensor

    def extend(self) -> None:
        self.register_buffer("running", torch.zeros(()), persistent=False)

    def forward(self, images: Tensor) -> Any:
        if self.training:
            self.running = 0.9 * self.running + 0.1 * (1 + images.mean().detach())
        return super().forward(images - self.running)


class Unloadable(Plain):
    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        return {**super().state_dict(*arguments, **options), "version": torch.tensor(3)}


def scripted(options: NetworkOptions, *, in_shape: tuple[int, int, int], classes: int) -> Any:
    return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(3072, classes)))
