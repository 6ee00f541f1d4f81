"""Rehearsal of a user's network: what a trial does with it, in small, before any trial starts.

Two steps of training, an evaluation, its state written and read back. What would fail later, or give other
results without a word, is refused here with the remedy.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.config.image_format import Shape
from hpo.config.study import StudySpec
from hpo.data.preprocess import Preprocessor
from hpo.errors import ConfigurationError, UserError
from hpo.rng import Key
from hpo.text import counted
from hpo.training.data import ImageSet, TrialData, weights_hash
from hpo.training.evaluate import evaluate
from hpo.training.forward import logits_of
from hpo.training.loop import train
from hpo.training.model_factory import build_model, check_model
from hpo.training.network_state import load_network_state, network_state
from hpo.training.precision import resolve_precision
from hpo.training.process_state import preserved
from hpo.training.setup import TrialSetup
from hpo.training.state import EpochState
from hpo.training.users_code import USERS_ERRORS
from hpo.training.users_network import raised

T = TypeVar("T")

_KEY = Key(0) / "rehearsal"
_IMAGES = 8
"""Images in a step: enough for normalization, and quick for any network."""
_STEPS, _EPOCHS = 2, 2
_UNSEEDED = "np.random.default_rng() without a seed, the clock, os.urandom"


def models_of(spec: StudySpec) -> list[str]:
    """Return every network that trials of the study may have."""
    searched = spec.space.get("model")
    return list(searched.extremes()) if searched else [spec.image_configuration({}).model]


def check_models(spec: StudySpec, classes: int, in_shape: Shape, device: torch.device) -> None:
    """Build each network of the study, and rehearse a user's own.

    Raises ``ConfigurationError`` with all that cannot be trained.
    """
    refused = []
    for name in models_of(spec):
        try:
            check_network(spec.image_configuration({"model": name}), classes, in_shape, device)
        except ConfigurationError as error:
            refused.append(str(error))
    if len(refused) == 1:
        raise ConfigurationError(refused[0])
    if refused:
        listed = "\n".join(f"  {each}" for each in refused)
        raise ConfigurationError(f"{counted(len(refused), 'network')} cannot be trained:\n{listed}")


def check_network(configuration: Configuration, classes: int, in_shape: Shape, device: torch.device) -> None:
    """Build the configuration's network, and rehearse a user's own.

    Raises ``ConfigurationError`` if it cannot be trained.
    """
    if ":" in configuration.model:
        Rehearsal(configuration, classes, in_shape, device).run()
    else:
        check_model(configuration, classes=classes, in_shape=in_shape)


@dataclass(frozen=True)
class Rehearsal:
    """The rehearsal of a configuration's network on ``device``, on noise."""

    configuration: Configuration
    classes: int
    in_shape: Shape
    device: torch.device

    def run(self) -> None:
        """Train, evaluate, store and restore the network.

        Raises ``ConfigurationError`` if one of them fails.
        """
        with preserved():
            setup = self._begin()
            self._train(setup)
            self._evaluate(setup)
            self._restore(setup)

    def unrepeatable(self) -> str:
        """Return why two trainings from one seed differ because of the network; empty if they do not."""
        with preserved():
            twins = self._begin(), self._begin()
            if weights_hash(twins[0].model) != weights_hash(twins[1].model):
                what = "is built with other weights each time, from the same seed: it"
            else:
                for each in twins:
                    self._train(each)
                if weights_hash(twins[0].model) == weights_hash(twins[1].model):
                    return ""
                what = "is trained to other weights each time, from the same seed: its forward pass"
        return f"{self.configuration.model} {what} draws random numbers that hpo does not seed ({_UNSEEDED})"

    def unresumable(self) -> str:
        """Return why a resumed training differs from an uninterrupted one; empty if it does not."""
        with preserved():
            whole, resumed = self._begin(), self._begin()
            self._train(whole)
            load_network_state(resumed.model, _through_bytes(network_state(whole.model)))
            resumed.optimizer.load_state_dict(_through_bytes(whole.optimizer.state_dict()))
            resumed.average.load(_through_bytes(whole.average.state()))
            for each in (whole, resumed):
                self._train(each, epoch=_EPOCHS)
            if weights_hash(whole.model) == weights_hash(resumed.model):
                return ""
        return (
            f"{self.configuration.model} holds something that changes in training and is not in its "
            "state_dict, such as a counter or its own generator, so a resumed trial differs from an "
            "uninterrupted one: use a registered buffer, or return it from get_extra_state"
        )

    def _begin(self) -> TrialSetup:
        images = min(_IMAGES, self.configuration.batch_size)
        configuration = self.configuration.model_copy(
            update={"epochs": _EPOCHS, "batch_size": images, "augmentation": "none", "warmup_epochs": 0}
        )
        data = _noise(_STEPS * images, self.classes, self.in_shape, self.device)
        sample, _ = data.train.first(images)
        model = build_model(
            configuration,
            classes=self.classes,
            key=_KEY / "weights",
            sample=sample.cpu(),
            in_shape=self.in_shape,
        )
        precision = resolve_precision(configuration.precision, self.device)
        return TrialSetup.of(configuration, model, data, _KEY, self.device, precision)

    def _train(self, setup: TrialSetup, epoch: int = 1) -> None:
        model = setup.model
        before = dict(model.named_parameters()).keys()
        self._users("in a step of training", lambda: next(train(setup, start=EpochState(epoch))))
        late = sorted(dict(model.named_parameters()).keys() - before)
        if late:
            raise ConfigurationError(
                f"model {self.configuration.model} adds the parameter {late[0]} in training mode, where the "
                "optimizer does not get it: create it in __init__, or use a lazy layer"
            )

    def _evaluate(self, setup: TrialSetup) -> None:
        """Evaluate one image, as `hpo predict` does, and several."""
        for count in (1, len(setup.data.val)):
            images = _first(setup.data.val, count)
            doing = f"evaluated on a batch of {count}, without gradients"
            self._users(doing, lambda images=images: evaluate(setup.model, images, setup.precision))  # type: ignore[misc]

    def _restore(self, setup: TrialSetup) -> None:
        """Write the state, read it back into another network, and compare their logits."""
        state = self._users("asked for its state_dict", lambda: network_state(setup.model))
        self._users("written to safetensors", lambda: safetensors.torch.save(_packed(state)))
        other = self._begin()
        read = _through_bytes(state)
        self._users("given its state_dict again", lambda: load_network_state(other.model, read))
        images, _ = setup.data.val.first(_IMAGES)
        first, again, restored = (self._logits(each, images) for each in (setup, setup, other))
        if _alike(first, again) and not _alike(first, restored):
            raise ConfigurationError(
                f"model {self.configuration.model} gives other logits after its state_dict was stored and "
                "loaded: hold what changes in training in parameters and persistent buffers, or return it "
                "from get_extra_state"
            )

    def _logits(self, setup: TrialSetup, images: Tensor) -> Tensor:
        setup.model.eval()
        with torch.inference_mode():
            return logits_of(setup.model, images.clone(), self.device, setup.precision)

    def _users(self, doing: str, work: Callable[[], T]) -> T:
        """Return ``work()``. What it raises comes from the user's network."""
        name = self.configuration.model
        try:
            return work()
        except UserError as error:
            raise ConfigurationError(f"model {name}: {error}") from error
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except USERS_ERRORS as error:
            raise ConfigurationError(raised(name, doing, error)) from error


def _noise(images: int, classes: int, in_shape: Shape, device: torch.device) -> TrialData:
    """Return a data set of noise, the same for training and validation."""
    generator = torch.Generator().manual_seed((_KEY / "images").integer())
    pixels = torch.randint(256, (images, *in_shape), dtype=torch.uint8, generator=generator)
    labels = torch.arange(images) % classes
    plain = Preprocessor(torch.tensor(1 / 128), torch.tensor(-1.0)).to(device)
    part = ImageSet(pixels.to(device), labels.to(device), torch.arange(images, device=device), plain)
    return TrialData(part, part, tuple(map(str, range(classes))), plain)


def _first(images: ImageSet, count: int) -> ImageSet:
    return ImageSet(images.pixels, images.labels, images.rows[:count], images.preprocessor)


def _packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy the state as safetensors requires: contiguous, without shared memory."""
    return {name: each.clone(memory_format=torch.contiguous_format) for name, each in state.items()}


def _through_bytes(tensors: T) -> T:
    """Write tensors and containers of them as a checkpoint does, and read them back."""
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    buffer.seek(0)
    read: Any = torch.load(buffer, map_location="cpu", weights_only=True)
    return read  # type: ignore[no-any-return]


def _alike(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)
