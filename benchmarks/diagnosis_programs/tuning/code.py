"""Faults of networks, losses and training loops."""

from __future__ import annotations

from torch import nn

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_model as model
from diagnosis_programs.tuning import mistakes_in_step as step

_NETWORKS = [
    Fault("deep_sigmoid", "network", "tanh_mlp", ("vanishing_gradients",), {"activation": "sigmoid"}),
    Fault(
        "hidden_softmax",
        "network",
        "mlp",
        ("vanishing_gradients",),
        parts={"build": model.with_hidden(lambda: nn.Softmax(dim=1))},
        fixes=("replace_hidden_activation",),
        cured_by=("activation",),
    ),
    Fault(
        "hidden_hard_sigmoid",
        "network",
        "tanh_mlp",
        ("vanishing_gradients", "saturated_units"),
        parts={"build": model.with_hidden(nn.Hardsigmoid)},
        fixes=("replace_hidden_activation",),
        cured_by=("activation",),
    ),
    # Xavier halves the variance of ReLU's values in each of thirty layers.
    Fault(
        "thirty_layers",
        "network",
        "mlp",
        ("vanishing_gradients", "bad_init"),
        {"depth": 30, "initializer": "xavier"},
    ),
    Fault(
        "blind",
        "network",
        "relu_bn",
        ("ignores_input",),
        parts={"build": model.changed(model.blind)},
        fixes=("reattach",),
    ),
    Fault(
        "zeroed_features",
        "network",
        "relu",
        ("ignores_input",),
        parts={"build": model.changed(model.zeroed_features)},
        fixes=("reattach",),
    ),
    # Both names mean that the first layers learn nothing because no gradient reaches them.
    Fault(
        "detached_features",
        "network",
        "relu_adam",
        ("detached", "frozen_parameters"),
        parts={"build": model.changed(model.detached_features)},
        fixes=("reattach",),
    ),
    Fault(
        "detached_branches",
        "network",
        "resnet",
        ("detached", "frozen_parameters"),
        parts={"build": model.changed(model.detached_residuals)},
        fixes=("reattach",),
    ),
    Fault("too_narrow", "network", "relu", ("underfitting",), {"width": 1}),
    Fault(
        "two_hundred_images",
        "network",
        "relu_bn",
        ("overfitting",),
        {"train_images": 200, "epochs": 40},
        repairable=False,  # more images is what helps, and no remedy can have them
    ),
]

_OUTPUTS = [
    Fault(
        f"{name}_output_{base}",
        "output",
        base,
        ("softmax_twice",),
        parts={"build": model.with_output(activation)},
        fixes=("remove_output_activation",),
    )
    for name, base, activation in (
        ("softmax", "relu", nn.Softmax(dim=1)),
        ("sigmoid", "relu", nn.Sigmoid()),
        ("relu", "elu_vgg", nn.ReLU()),
        ("tanh", "mlp", nn.Tanh()),
    )
]

_LOSSES = [
    Fault(
        "negative_loss",
        "loss",
        "relu",
        ("wrong_loss",),
        parts={"loss": step.negative_loss},
        fixes=("fix_loss_sign",),
    ),
    # The gradient is that of another learning rate: fifty times as large, or as small.
    Fault(
        "summed_loss",
        "loss",
        "elu_vgg",
        ("wrong_loss", "lr_too_high"),
        parts={"loss": step.summed_loss},
        fixes=("use_mean_reduction",),
    ),
    Fault(
        "loss_averaged_twice",
        "loss",
        "relu",
        ("wrong_loss", "lr_too_low"),
        parts={"loss": step.mean_over_everything},
        fixes=("use_mean_reduction", "scale_loss"),
    ),
    Fault(
        "nll_of_logits",
        "loss",
        "relu_adam",
        ("wrong_loss",),
        parts={"loss": step.nll_of_logits},
        fixes=("use_cross_entropy",),
    ),
    Fault(
        "nll_of_probabilities",
        "loss",
        "relu_bn",
        ("wrong_loss", "softmax_twice"),
        parts={"loss": step.nll_of_probabilities},
        fixes=("use_cross_entropy", "remove_output_activation"),
    ),
    Fault(
        "half_precision_underflow",
        "loss",
        "relu_bn",
        ("vanishing_gradients", "no_update"),
        parts={"update": step.in_half_precision},
        fixes=("scale_loss",),
    ),
]

_UPDATES = [
    Fault(
        "zero_grad_forgotten",
        "update",
        "relu",
        ("stale_gradients",),
        parts={"update": step.without_zero_grad},
        fixes=("call_zero_grad",),
    ),
    Fault(
        "zero_grad_forgotten_batch_norm",
        "update",
        "relu_bn",
        ("stale_gradients",),
        parts={"update": step.without_zero_grad},
        fixes=("call_zero_grad",),
    ),
    # From outside, no gradient at the time of the step; either remedy points to these three lines.
    Fault(
        "zero_grad_too_late",
        "update",
        "elu_vgg",
        ("no_update", "detached"),
        parts={"update": step.zero_grad_too_late},
        fixes=("call_zero_grad", "call_step"),
    ),
    Fault(
        "step_forgotten",
        "update",
        "mlp",
        ("no_update",),
        parts={"update": step.without_step},
        fixes=("call_step",),
    ),
    Fault(
        "rate_of_zero",
        "update",
        "relu_bn",
        ("no_update", "lr_too_low"),
        parts={"lr": step.no_rate},
        cured_by=("lr", "schedule"),
    ),
    Fault(
        "optimizer_of_another_model",
        "update",
        "relu_adam",
        ("frozen_parameters", "no_update"),
        parts={"optimizer": step.of_another_model},
        fixes=("give_all_parameters",),
    ),
    Fault(
        "optimizer_of_classifier",
        "update",
        "elu_vgg",
        ("frozen_parameters",),
        parts={"optimizer": step.of_the_classifier},
        fixes=("give_all_parameters",),
    ),
    Fault(
        "frozen",
        "update",
        "relu",
        ("frozen_parameters",),
        parts={"build": model.changed(model.frozen)},
        fixes=("unfreeze",),
    ),
]

_MODES = [
    Fault(
        "train_forgotten",
        "mode",
        "deep_bn",
        ("eval_mode",),
        parts={"train_mode": step.stays},
        fixes=("call_train",),
    ),
    Fault(
        "norms_in_eval",
        "mode",
        "deep_bn",
        ("eval_mode", "norm_statistics"),
        parts={"train_mode": step.norms_in_eval},
        fixes=("call_train",),
    ),
    Fault(
        "norm_momentum_0",
        "mode",
        "relu_bn",
        ("norm_statistics",),
        parts={"build": model.changed(model.still_statistics)},
        fixes=("fix_norm_momentum",),
        cured_by=("norm_momentum",),
    ),
    Fault("norm_momentum_1e-4", "mode", "leaky_adamw", ("norm_statistics",), {"norm_momentum": 1e-4}),
]

CODE: list[Fault] = [*_NETWORKS, *_OUTPUTS, *_LOSSES, *_UPDATES, *_MODES]
