"""One training, ready to start: a configuration's images, network, optimizer and babysitter, from one key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.checks.babysitter import Babysitter
from hpo.checks.base import Finding
from hpo.config.configuration import Configuration
from hpo.config.thresholds import Thresholds
from hpo.data.datasets import Dataset
from hpo.data.split import Fold, split
from hpo.heartbeat import beat
from hpo.records import EpochResult
from hpo.rng import Key
from hpo.training.batches import steps_per_epoch
from hpo.training.data import ImageSet, TrialData, make_trial_data, test_images
from hpo.training.evaluate import evaluate
from hpo.training.loop import StepWatch, train
from hpo.training.model_factory import build_model
from hpo.training.optim import build_optimizer, penalty
from hpo.training.precision import Resolved, autocast, resolve_precision
from hpo.training.state import CheckpointHook, EpochState

PROBE_IMAGES = 256
"""Training images on which data-driven initializers and the checks before training look."""


@dataclass(frozen=True)
class TrialSetup:
    """What a training needs. Everything random in it is a function of ``key``."""

    configuration: Configuration
    key: Key
    device: torch.device
    precision: Resolved
    data: TrialData
    images: Tensor
    """(n, C, H, W): some training images, preprocessed, drawn at random."""
    labels: Tensor
    """(n,): theirs."""
    model: nn.Module
    optimizer: Optimizer

    @property
    def steps_per_epoch(self) -> int:
        """How many updates an epoch makes."""
        return steps_per_epoch(len(self.data.train), self.configuration.batch_size)

    def babysitter(self, limits: Thresholds) -> Babysitter:
        """Who watches this training; close it in the end."""
        configuration = self.configuration
        return Babysitter(
            self.model,
            self.optimizer,
            classes=self.data.classes,
            epochs=configuration.epochs,
            steps_per_epoch=self.steps_per_epoch,
            forward=self._forward,
            configuration=configuration.applicable(),
            checks=limits,
        )

    def check_before(self, sitter: Babysitter) -> list[Finding]:
        """Let ``sitter`` check everything before the first step."""
        val = _drawn(self.data.val, self.key / "probe" / "val", self.device)
        return sitter.before(self.images, self.labels, *val, penalty=self._penalty())

    def epochs(
        self, watch: StepWatch, start: EpochState | None = None, keeper: CheckpointHook | None = None
    ) -> Iterator[EpochResult]:
        """Train from ``start`` on, yielding after each epoch; raises what ``train`` raises."""
        return train(
            self.configuration,
            self.model,
            self.data,
            self.key,
            self.device,
            self.precision,
            watch=watch,
            optimizer=self.optimizer,
            start=start,
            keeper=keeper,
        )

    def tell(self, sitter: Babysitter, epoch: EpochResult) -> Finding | None:
        """Give ``sitter`` the numbers of an epoch; what it returns says to stop."""
        return sitter.epoch(
            train_loss=epoch.train_loss,
            train_accuracy=epoch.train_accuracy,
            val_loss=epoch.val_loss,
            val_accuracy=epoch.val_accuracy,
            val_images=len(self.data.val),
        )

    def test_accuracy(self, dataset: Dataset) -> float:
        """The share of the test images that the network classifies right, as it is now."""
        images = test_images(dataset, self.data.preprocessor, self.device)
        return evaluate(self.model, images, self.precision).accuracy

    def _forward(self, model: nn.Module, images: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            logits: Tensor = model(images.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def _penalty(self) -> float | None:
        """What regularization adds to the first loss; None where it is off."""
        regularized = self.configuration.weight_decay > 0 or self.configuration.l1 > 0
        return penalty(self.model, self.configuration) if regularized else None


def prepare(
    configuration: Configuration,
    dataset: Dataset,
    key: Key,
    split_key: Key,
    device: torch.device,
    fold: Fold = Fold(),  # noqa: B008 (frozen)
) -> TrialSetup:
    """Split and preprocess the images, and build the network and its optimizer on ``device``.

    ``split_key`` belongs to the study, not to the trial: all trials are judged on the same images. Raises
    ``ConfigurationError``, ``DataError`` or ``DeviceError`` if this cannot be trained.
    """
    wanted = configuration.val_fraction, configuration.train_images
    rows = split(dataset.train_labels, *wanted, split_key, fold)
    data = make_trial_data(configuration, dataset, rows, device)
    beat()
    images, labels = _drawn(data.train, key / "probe", device)
    model = build_model(configuration, classes=data.classes, key=key / "weights", sample=images)
    beat()
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrialSetup(
        configuration=configuration,
        key=key,
        device=device,
        precision=resolve_precision(configuration.precision, device),
        data=data,
        images=images,
        labels=labels,
        model=model,
        optimizer=build_optimizer(model, configuration),
    )


def _drawn(images: ImageSet, key: Key, device: torch.device) -> tuple[Tensor, Tensor]:
    """Some of the images (n, C, H, W), at random (a split is in the order of its classes); labels (n,)."""
    generator = torch.Generator().manual_seed(key.integer())
    positions = torch.randperm(len(images), generator=generator)[:PROBE_IMAGES]
    return images.batch(positions.to(device))
