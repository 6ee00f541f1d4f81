"""One training, ready to start: a configuration's images, network and optimizer, all from one key."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.config.configuration import Configuration
from hpo.data.datasets import Dataset
from hpo.data.split import Fold, split
from hpo.heartbeat import beat
from hpo.models.whitening import MOST_IMAGES
from hpo.rng import Key
from hpo.training.averages import WeightAverage, make_average
from hpo.training.batches import steps_per_epoch
from hpo.training.data import (
    ImageSet,
    TrialData,
    as_many_as_standard,
    make_trial_data,
    preprocessed_test_images,
)
from hpo.training.evaluate import Evaluation, evaluate
from hpo.training.forward import logits_of
from hpo.training.model_factory import build_model
from hpo.training.optim import build_optimizer
from hpo.training.precision import Resolved, resolve_precision
from hpo.training.users_metric import UsersMetric

PROBE_IMAGES = 256
"""Images that data-driven initializers and the checks before training see; of large ones a quarter."""


@dataclass(frozen=True)
class TrialSetup:
    """Everything a training needs. Everything random in it is a function of ``key``."""

    configuration: Configuration
    model: nn.Module
    """On ``device``, in channels-last format."""
    optimizer: Optimizer
    data: TrialData
    key: Key
    device: torch.device
    precision: Resolved
    average: WeightAverage
    own_metric: UsersMetric | None = None
    """The study's objective, if it is a function of the user's."""

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        model: nn.Module,
        data: TrialData,
        key: Key,
        device: torch.device,
        precision: Resolved,
    ) -> TrialSetup:
        """Move ``model`` to ``device`` and build its optimizer."""
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(model, configuration)
        average = make_average(model, configuration, data, precision)
        return cls(configuration, model, optimizer, data, key, device, precision, average)

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and kept: ``model``, or an average of its weights."""
        return self.average.judged

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps in an epoch."""
        return steps_per_epoch(len(self.data.train), self.configuration.batch_size)

    def class_weights(self) -> Tensor | None:
        """Return the weight of each class (C,) in the loss; None if all are 1.

        An image counts by the inverse of its class's number of images: 1 on average over the images.
        """
        if self.configuration.applicable()["class_weights"] != "balanced":
            return None
        counts = torch.tensor(self.data.train.class_counts(self.data.classes), device=self.device)
        known = counts > 0
        weights = counts.sum() / (known.sum() * counts.clamp(min=1))
        return torch.where(known, weights, 1.0).float()

    def forward(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run ``model`` on images (B, C, H, W) as the training does; returns logits (B, classes) in fp32.

        On a copy, as in training: a network may change its input, and the checks use theirs again.
        """
        images = images.clone(memory_format=torch.channels_last)
        return logits_of(model, images, self.device, self.precision)

    def probe_batch(self) -> tuple[Tensor, Tensor]:
        """Draw up to ``PROBE_IMAGES`` training images (n, C, H, W), preprocessed, and their labels (n,)."""
        return _draw(self.data.train, self.key / "probe", self.device)

    def val_probe_batch(self) -> tuple[Tensor, Tensor]:
        """Draw up to ``PROBE_IMAGES`` validation images and labels, like ``probe_batch``."""
        return _draw(self.data.val, self.key / "probe" / "val", self.device)

    def on_test(self, dataset: Dataset) -> Evaluation:
        """Evaluate the network that is kept, as it is now, on the test images."""
        images = preprocessed_test_images(dataset, self.data.preprocessor, self.device)
        views = int(self.configuration.eval_views)
        return evaluate(self.judged, images, self.precision, own=self.own_metric, views=views)


def prepare(
    configuration: Configuration,
    dataset: Dataset,
    key: Key,
    split_key: Key,
    device: torch.device,
    fold: Fold = Fold(),  # noqa: B008 (frozen)
) -> TrialSetup:
    """Split and preprocess the images, and build the network and its optimizer on ``device``.

    ``split_key`` belongs to the study, not to the trial: all trials are validated on the same images. Raises
    ``ConfigurationError``, ``DataError`` or ``DeviceError`` if this cannot be trained.
    """
    fractions = configuration.val_fraction, configuration.train_images
    rows = split(dataset.train_labels, dataset.classes, *fractions, split_key, fold, dataset.division)
    data = make_trial_data(configuration, dataset, rows, device)
    beat()
    sample, _ = _draw(data.train, key / "probe", device)
    model = build_model(
        configuration,
        classes=data.classes,
        key=key / "weights",
        sample=sample,
        in_shape=data.image_shape,
        whitened_on=evenly_spread(data.train, MOST_IMAGES) if configuration.stem == "whitened" else None,
    )
    beat()
    precision = resolve_precision(configuration.precision, device)
    return TrialSetup.of(configuration, model, data, key, device, precision)


def evenly_spread(images: ImageSet, most: int) -> Tensor:
    """Return up to ``most`` images (n, C, H, W) that lie evenly in the set, fewer of large ones."""
    count = min(len(images), as_many_as_standard(most, images.pixels))
    positions = torch.arange(count, device=images.rows.device) * len(images) // count
    return images.batch(positions)[0]


def _draw(images: ImageSet, key: Key, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw images at random, since a split may be sorted by class."""
    generator = torch.Generator().manual_seed(key.integer())
    count = min(PROBE_IMAGES, max(PROBE_IMAGES // 4, as_many_as_standard(4 * PROBE_IMAGES, images.pixels)))
    positions = torch.randperm(len(images), generator=generator)[:count]
    return images.batch(positions.to(device))
