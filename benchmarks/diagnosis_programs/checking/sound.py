"""The checking half: programs that train well."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

from diagnosis_programs.bases import LENET, PLAIN_ADAM, checking_network
from diagnosis_programs.program import CLASSES, Step
from diagnosis_programs.sound import Healthy, healthy
from diagnosis_programs.tuning.mistakes_in_model import changed
from hpo.config.configuration import Configuration
from hpo.data.preprocess import Preprocessor
from hpo.models.initializers import weight_layers


def _one_against_all(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """A binary cross-entropy per class, summed over classes (Wightman et al. 2021): it starts at 10 ln 2."""
    targets = F.one_hot(labels, CLASSES).float()
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(labels)


def _margin(configuration: Configuration, logits: Tensor, labels: Tensor) -> Tensor:
    """The hinge loss of a support vector machine with ten classes."""
    return F.multi_margin_loss(logits, labels)


def _as_many_of_each_class(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Stratified batches: the same number of images of every class in each."""
    each = max(1, min(configuration.batch_size, len(labels)) // CLASSES)
    rows = [torch.nonzero(labels == number).flatten() for number in range(CLASSES)]
    orders = [part[torch.randperm(len(part), generator=generator)].split(each) for part in rows]
    yield from (torch.cat(parts) for parts in zip(*orders, strict=False))


def _with_replacement(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Each batch is drawn from all images again: an epoch misses a third of them."""
    size = min(configuration.batch_size, len(labels))
    for _ in range(len(labels) // size):
        yield torch.randint(len(labels), (size,), generator=generator)


def _grey(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """The mean of the colors, three times."""
    return preprocessor(pixels).mean(1, keepdim=True).repeat(1, 3, 1, 1)


def _mild_noise(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of a fifth of the images' deviation."""
    return images + 0.2 * torch.randn(images.shape, generator=generator)


def _rates_by_layer(configuration: Configuration, model: nn.Module) -> Optimizer:
    """A group of parameters per layer, biases among them without weight decay."""
    groups = [
        {"params": [each], "weight_decay": 5e-4 if each.ndim > 1 else 0.0} for each in model.parameters()
    ]
    return SGD(groups, lr=configuration.lr, momentum=configuration.momentum, nesterov=True)


def _clipped_by_value(step: Step) -> None:
    """Each entry of the gradient to [-0.05, 0.05]; gradients are cleared after the step, not before it."""
    step.loss.backward()
    nn.utils.clip_grad_value_(step.model.parameters(), 0.05)
    step.optimizer.step()
    step.optimizer.zero_grad()


@torch.no_grad()
def _small_normal(model: nn.Module) -> nn.Module:
    """N(0, 0.02^2) in every layer, as transformers start, in front of normalizations."""
    for layer in weight_layers(model):
        layer.weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(layer.weight.numel()))
    return model


@torch.no_grad()
def _slightly_positive_biases(model: nn.Module) -> nn.Module:
    """Biases of hidden ReLU layers at 0.1, so that all are alive at first."""
    for layer in weight_layers(model)[:-1]:
        if layer.bias is not None:
            layer.bias.fill_(0.1)
    return model


SOUND: list[Healthy] = [
    healthy(
        "activation",
        "leaky_0.3_nesterov",
        activation="leaky_relu",
        negative_slope=0.3,
        batch_norm="none",
        nesterov=True,
        lr=0.015,
        batch_size=32,
    ),
    healthy(
        "activation",
        "elu_0.5_after",
        activation="elu",
        elu_alpha=0.5,
        batch_norm="after",
        optimizer="adamw",
        lr=2e-3,
    ),
    healthy(
        "activation",
        "softplus_bn_mlp",
        model="mlp",
        depth=2,
        activation="softplus",
        optimizer="adam",
        lr=1e-3,
    ),
    healthy(
        "activation",
        "maxout_of_3",
        activation="maxout",
        maxout_pieces=3,
        width=6,
        norm="group",
        norm_groups=3,
        lr=0.03,
    ),
    healthy("initializer", "small_normal_bn", {"build": changed(_small_normal)}, optimizer="adam", lr=3e-3),
    healthy(
        "initializer",
        "positive_biases",
        {"build": changed(_slightly_positive_biases)},
        batch_norm="none",
        lr=0.02,
    ),
    healthy(
        "initializer",
        "xavier_uniform_tanh_lenet",
        **LENET,
        activation="tanh",
        initializer="xavier",
        init_distribution="uniform",
        optimizer="adam",
        lr=1e-3,
    ),
    healthy(
        "norm",
        "group_of_one_channel",
        norm="group",
        norm_groups=64,
        activation="silu",
        optimizer="adamw",
        lr=2e-3,
    ),
    healthy("norm", "bn_momentum_0.9", norm_momentum=0.9, batch_size=100, lr=0.05),
    healthy(
        "optimizer", "adagrad_warm_up", optimizer="adagrad", batch_norm="none", warmup_epochs=0.5, lr=0.01
    ),
    healthy(
        "optimizer",
        "rmsprop_with_momentum",
        optimizer="rmsprop",
        momentum=0.5,
        rms_decay=0.9,
        lr=7e-4,
        batch_size=64,
    ),
    healthy(
        "optimizer",
        "groups_by_layer",
        {"optimizer": _rates_by_layer},
        activation="prelu",
        lr=0.03,
    ),
    healthy("optimizer", "adam_epsilon_1e-3", **PLAIN_ADAM, optimizer_epsilon=1e-3, lr=4e-3, depth=4),
    healthy(
        "schedule",
        "exponential_warm_up",
        schedule="exponential",
        lr_decay=0.4,
        warmup_epochs=1.0,
        lr=0.2,
        batch_size=75,
    ),
    healthy("schedule", "slow_sgd_small_batch", schedule="constant", lr=1e-3, batch_size=16),
    healthy("network", "nin_adam", **checking_network("nin", 10), optimizer="adam", lr=3e-3),
    healthy("network", "densenet", **checking_network("densenet", 10), batch_size=40, lr=0.05),
    healthy(
        "network",
        "preact_adamw",
        **checking_network("preact", 12),
        optimizer="adamw",
        weight_decay=0.1,
        lr=4e-3,
    ),
    healthy(
        "network",
        "inception_plain",
        **checking_network("inception", 8),
        **PLAIN_ADAM,
        schedule="one_cycle",
        lr=3e-3,
    ),
    healthy("batch", "batch_10", batch_size=10, lr=0.01, depth=2),
    healthy("batch", "stratified", {"batches": _as_many_of_each_class}, batch_norm="none", lr=0.02),
    healthy("batch", "with_replacement", {"batches": _with_replacement}, optimizer="adam", lr=2e-3),
    healthy("images", "grey", {"prepare_train": _grey, "prepare_val": _grey}, optimizer="adamw", lr=3e-3),
    healthy("images", "mild_noise", {"augment": _mild_noise}, batch_norm="none", lr=0.02),
    healthy(
        "images",
        "pixel_means_and_flips",
        preprocessing="standardize_pixel",
        augmentation="flip",
        model="vgg",
        depth=6,
        optimizer="adam",
        lr=2e-3,
    ),
    healthy(
        "penalty",
        "half_dropped_alexnet",
        **{**checking_network("alexnet", 16), "batch_norm": "none"},
        dropout=0.4,
        optimizer="adam",
        lr=1e-3,
        batch_size=25,
    ),
    healthy("penalty", "smoothing_0.2", label_smoothing=0.2, weight_decay=5e-3, nesterov=True, lr=0.05),
    healthy("code", "one_against_all", {"loss": _one_against_all}, optimizer="adam", lr=2e-3),
    healthy("code", "margin", {"loss": _margin}, lr=0.1),
    healthy("code", "clipped_by_value", {"update": _clipped_by_value}, batch_norm="none", lr=0.03),
]
