"""Faults of networks, losses and training loops, on other networks and optimizers."""

from __future__ import annotations

from torch import nn

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_model as model
from diagnosis_programs.tuning import mistakes_in_step as step

_HIDDEN = [
    Fault(
        name,
        "network",
        base,
        causes,
        parts={"build": model.with_hidden(activation)},
        fixes=("replace_hidden_activation",),
        cured_by=("activation",),
    )
    for name, base, causes, activation in (
        # ReLU that opens at 6 deviations behind a batch normalization.
        ("threshold_6", "fitnet_bn", ("dead_units",), lambda: nn.Threshold(6.0, 0.0)),
        ("softmax_over_rows", "lenet_tanh", ("vanishing_gradients",), lambda: nn.Softmax(dim=-1)),
        ("hard_sigmoid_selu", "selu_mlp", ("vanishing_gradients", "saturated_units"), nn.Hardsigmoid),
        # All but the classifier gets gradients of exactly 0, and stays as it is.
        (
            "rounded_activations",
            "strided_rmsprop",
            ("vanishing_gradients", "detached", "frozen_parameters"),
            model.Rounded,
        ),
    )
]

_NETWORKS = [
    *_HIDDEN,
    Fault(
        "seventeen_sigmoid_layers",
        "network",
        "fitnet_bn",
        ("vanishing_gradients",),
        {"activation": "sigmoid", "batch_norm": "none"},
    ),
    Fault(
        "features_under_no_grad",
        "network",
        "silu_vgg",
        ("detached", "frozen_parameters"),
        parts={"build": model.changed(model.unrecorded_features)},
        fixes=("reattach",),
    ),
]

_OUTPUTS = [
    *(
        Fault(
            name,
            "output",
            base,
            ("softmax_twice",),
            parts={"build": model.with_output(activation)},
            fixes=("remove_output_activation",),
        )
        for name, base, activation in (
            ("softmax_output_separable", "separable_bn", nn.Softmax(dim=1)),
            ("softmax_over_batch", "resnet14_group_norm", nn.Softmax(dim=0)),
        )
    ),
    # Gradients a thousand times too small: with SGD, a learning rate a thousand times too low.
    Fault(
        "logits_in_thousandths",
        "output",
        "selu_mlp",
        ("vanishing_gradients", "lr_too_low"),
        parts={"build": model.with_output(model.Times(1e-3))},
        fixes=("remove_output_activation", "scale_loss"),
        cured_by=("initializer",),
    ),
]

_LOSSES = [
    Fault(name, "loss", base, ("wrong_loss",), parts={"loss": loss}, fixes=fixes)
    for name, base, loss, fixes in (
        (
            "probability_of_the_truth",
            "gelu_layer_norm",
            step.probability_of_the_truth,
            ("fix_loss_sign", "use_cross_entropy"),
        ),
        (
            "easiest_tenth",
            "strided_rmsprop",
            step.easiest_tenth,
            ("use_mean_reduction", "use_cross_entropy"),
        ),
        (
            "loss_of_mean_logits",
            "resnet14_group_norm",
            step.of_mean_logits,
            ("use_mean_reduction", "use_cross_entropy"),
        ),
    )
]

_UPDATES = [
    # Weights do not move, as with far too low a rate.
    Fault(
        "weights_in_fixed_point",
        "update",
        "selu_mlp",
        ("no_update", "lr_too_low"),
        parts={"update": step.in_fixed_point},
        fixes=("call_step", "scale_loss"),
    ),
    Fault(
        "skips_on_overflow",
        "update",
        "resnet14_group_norm",
        ("no_update",),
        parts={"update": step.skips_on_overflow},
        fixes=("call_step", "scale_loss"),
    ),
    Fault(
        "frozen_by_name",
        "update",
        "fitnet_bn",
        ("frozen_parameters",),
        parts={"build": model.changed(model.frozen_by_name)},
        fixes=("unfreeze",),
    ),
    Fault(
        "optimizer_of_first_stage",
        "update",
        "gelu_layer_norm",
        ("frozen_parameters",),
        parts={"optimizer": step.of_the_first_stage},
        fixes=("give_all_parameters",),
    ),
    Fault(
        "zero_grad_each_epoch",
        "update",
        "lenet_tanh",
        ("stale_gradients",),
        parts={"train_mode": step.zero_grad_each_epoch, "update": step.without_zero_grad},
        fixes=("call_zero_grad",),
    ),
    Fault(
        "maximizing",
        "update",
        "silu_vgg",
        ("wrong_loss",),
        parts={"optimizer": step.maximizing},
        fixes=("fix_loss_sign",),
    ),
]

_MODES = [
    Fault(
        "built_in_evaluation",
        "mode",
        "fitnet_bn",
        ("eval_mode",),
        parts={"build": model.changed(model.in_evaluation), "train_mode": step.stays},
        fixes=("call_train",),
    ),
    Fault(
        "foreign_statistics",
        "mode",
        "silu_vgg",
        ("norm_statistics",),
        parts={"build": model.changed(model.foreign_statistics)},
        fixes=("fix_norm_momentum",),
        cured_by=("norm_momentum",),
    ),
]

CODE: list[Fault] = [*_NETWORKS, *_OUTPUTS, *_LOSSES, *_UPDATES, *_MODES]
