"""The checking half: faults of networks, losses and training loops."""

from __future__ import annotations

from torch import nn

from diagnosis_programs.checking import mistakes_in_model as model
from diagnosis_programs.checking import mistakes_in_step as step
from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning.mistakes_in_model import changed, with_hidden, with_output

_HIDDEN = [
    Fault(
        name,
        "network",
        base,
        causes,
        parts={"build": build},
        fixes=("replace_hidden_activation",),
        cured_by=("activation",),
    )
    for name, base, causes, build in (
        (
            "softmax_before_classifier",
            "alexnet_minmax",
            ("vanishing_gradients",),
            model.with_last_hidden(nn.Softmax(dim=1)),
        ),
        (
            "hard_sigmoid_lsuv",
            "lsuv",
            ("vanishing_gradients", "saturated_units"),
            with_hidden(nn.Hardsigmoid),
        ),
        (
            "shrinking_threshold",
            "lenet_adagrad",
            ("dead_units", "vanishing_gradients"),
            with_hidden(lambda: nn.Softshrink(5.0)),
        ),
        ("inverted_mask", "orthogonal_mlp", ("wrong_gradient",), with_hidden(model.ReLUOfItsOwn)),
    )
]

_NETWORKS = [
    *_HIDDEN,
    Fault(
        "sigmoid_vgg_without_norm",
        "network",
        "prelu_vgg",
        ("vanishing_gradients",),
        {"activation": "sigmoid", "batch_norm": "none"},
    ),
    Fault(
        "by_way_of_numpy",
        "network",
        "nin_step",
        ("detached", "frozen_parameters"),
        parts={"build": changed(model.classifier_by_way_of_numpy)},
        fixes=("reattach",),
    ),
    Fault(
        "first_image_for_all",
        "network",
        "densenet_elu",
        ("ignores_input",),
        parts={"build": changed(model.first_image_for_all)},
        fixes=("reattach",),
    ),
    Fault("one_channel", "network", "convmixer", ("underfitting",), {"width": 1}),
    Fault(
        "one_hundred_images",
        "network",
        "preact",
        ("overfitting",),
        {"train_images": 100, "batch_size": 20, "epochs": 40},
        repairable=False,  # more images is what helps, and no remedy can have them
    ),
]

_OUTPUTS = [
    *(
        Fault(
            name,
            "output",
            base,
            ("softmax_twice",),
            parts={"build": with_output(activation)},
            fixes=("remove_output_activation",),
        )
        for name, base, activation in (
            ("relu_behind_the_maps", "nin_step", nn.ReLU()),
            ("softmax_output_mlp", "wide_mlp", nn.Softmax(dim=1)),
            ("sigmoid_shares", "lsuv", model.SigmoidShares()),
            ("unit_length", "preact", model.UnitLength()),
        )
    ),
    Fault(
        "loss_of_probabilities",
        "output",
        "lecun_tanh",
        ("softmax_twice",),
        parts={"loss": step.of_probabilities},
        fixes=("remove_output_activation", "use_cross_entropy"),
    ),
]

_LOSSES = [
    Fault(name, "loss", base, causes, parts={"loss": loss}, fixes=fixes)
    for name, base, causes, loss, fixes in (
        (
            "likelihood",
            "inception_one_cycle",
            ("wrong_loss",),
            step.likelihood,
            ("fix_loss_sign", "use_cross_entropy"),
        ),
        (
            "hinge_turned_round",
            "densenet_elu",
            ("wrong_loss",),
            step.hinge_turned_round,
            ("fix_loss_sign", "use_cross_entropy"),
        ),
        (
            "against_argmax",
            "softplus_layer_norm",
            ("wrong_loss",),
            step.against_argmax,
            ("use_cross_entropy",),
        ),
        # The gradient is that of another learning rate: 32 times as large, or 3,000 times as small.
        (
            "summed_over_a_batch",
            "lecun_tanh",
            ("wrong_loss", "lr_too_high"),
            step.summed_over_a_batch,
            ("use_mean_reduction", "use_cross_entropy"),
        ),
        (
            "divided_by_the_set",
            "preact",
            ("wrong_loss", "lr_too_low"),
            step.divided_by_the_set,
            ("use_mean_reduction", "scale_loss", "use_cross_entropy"),
        ),
        (
            "squared_error_of_probabilities",
            "nin_step",
            ("wrong_loss",),
            step.squared_error_of_probabilities,
            ("use_cross_entropy",),
        ),
        (
            "product_of_likelihoods",
            "prelu_vgg",
            ("wrong_loss", "vanishing_gradients"),
            step.product_of_likelihoods,
            ("use_cross_entropy", "scale_loss"),
        ),
        (
            "weights_of_the_rare",
            "densenet_elu",
            ("class_imbalance", "wrong_loss"),
            step.weights_of_the_rare,
            ("rebalance", "use_cross_entropy"),
        ),
    )
]

_UPDATES = [
    Fault(name, "update", base, causes, parts=parts, fixes=fixes)
    for name, base, causes, parts, fixes in (
        (
            "step_before_backward",
            "softplus_layer_norm",
            ("no_update",),
            {"update": step.step_before_backward},
            ("call_step", "call_zero_grad"),
        ),
        (
            "averaged_back",
            "convmixer",
            ("no_update", "lr_too_low"),
            {"update": step.averaged_back},
            ("call_step",),
        ),
        (
            "weights_in_eight_bits",
            "lecun_tanh",
            ("no_update", "lr_too_low"),
            {"update": step.in_eight_bits},
            ("call_step", "scale_loss"),
        ),
        (
            "accumulates_25_steps",
            "lecun_tanh",
            ("stale_gradients",),
            {"update": step.cleared_now_and_then},
            ("call_zero_grad",),
        ),
        (
            "clears_the_head_alone",
            "prelu_vgg",
            ("stale_gradients",),
            {"update": step.clears_the_head},
            ("call_zero_grad",),
        ),
        (
            "frozen_body_never_loaded",
            "inception_one_cycle",
            ("frozen_parameters",),
            {"build": changed(model.frozen_body)},
            ("unfreeze",),
        ),
        (
            "optimizer_of_last_block",
            "convmixer",
            ("frozen_parameters",),
            {"optimizer": step.of_last_block_and_head},
            ("give_all_parameters",),
        ),
        (
            "optimizer_of_biases",
            "nin_step",
            ("frozen_parameters",),
            {"optimizer": step.of_every_bias},
            ("give_all_parameters",),
        ),
    )
]

_MODES = [
    Fault(
        "evaluates_after_each_step",
        "mode",
        "nin_step",
        ("eval_mode",),
        parts={"update": step.evaluates_after_each_step},
        fixes=("call_train",),
    ),
    Fault(
        "trains_the_head_alone",
        "mode",
        "nin_step",
        ("eval_mode", "norm_statistics"),
        parts={"train_mode": step.body_in_eval},
        fixes=("call_train",),
    ),
    # 1 - 0.999, as other frameworks count it.
    Fault(
        "norm_momentum_0.001", "mode", "inception_one_cycle", ("norm_statistics",), {"norm_momentum": 1e-3}
    ),
]

CODE: list[Fault] = [*_NETWORKS, *_OUTPUTS, *_LOSSES, *_UPDATES, *_MODES]
