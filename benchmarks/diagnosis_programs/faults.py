"""The labelled faults. Causes, fixes and bases were written down before any verdict on them had been seen.

A fault counts only if it hurts: the benchmark measures each against its sound base, seed by seed.
"""

from __future__ import annotations

from torch import nn

from diagnosis_programs import wrong_data as data
from diagnosis_programs import wrong_model as model
from diagnosis_programs import wrong_step as step
from diagnosis_programs.fault import Fault

RATES = [
    Fault("lr_x1000", "rate", "relu", ("lr_too_high",), {"lr": 20.0}),
    Fault("lr_x1000_batch_norm", "rate", "deep_bn", ("lr_too_high",), {"lr": 50.0}),
    Fault("lr_x30", "rate", "elu_vgg", ("lr_too_high",), {"lr": 0.6}),
    Fault("lr_x30_adam", "rate", "relu_adam", ("lr_too_high",), {"lr": 0.06}),
    Fault("lr_x100_adamw", "rate", "leaky_adamw", ("lr_too_high",), {"lr": 0.3}),
    Fault("lr_by_1000", "rate", "relu", ("lr_too_low",), {"lr": 2e-5}),
    Fault("lr_by_1000_adam", "rate", "relu_adam", ("lr_too_low",), {"lr": 2e-6}),
    Fault("lr_by_100_batch_norm", "rate", "relu_bn", ("lr_too_low",), {"lr": 5e-4}),
    # Adam divides by its epsilon instead of the gradients' size: every step is a thousand times smaller.
    Fault("adam_epsilon_10", "rate", "relu_adam", ("lr_too_low",), {"optimizer_epsilon": 10.0}),
    # With momentum m a step adds up to lr / (1 - m): here a hundred times that of the base.
    Fault("momentum_0.999", "rate", "relu_bn", ("momentum_too_high", "lr_too_high"), {"momentum": 0.999}),
]

SCHEDULES = [
    Fault("decays_at_once", "schedule", "relu", ("schedule",), {"schedule": "exponential", "lr_decay": 1e-4}),
    Fault(
        "inverse_time_1e5",
        "schedule",
        "relu_bn",
        ("schedule",),
        {"schedule": "inverse_time", "lr_decay": 1e5},
    ),
    Fault(
        "stepped_every_batch",
        "schedule",
        "elu_vgg",
        ("schedule",),
        parts={"lr": step.stepped_every_batch},
        cured_by=("schedule",),
    ),
    # A tiny limit is a tiny learning rate by another name.
    Fault("clip_1e-5", "schedule", "relu", ("schedule", "lr_too_low"), {"gradient_clip": 1e-5}),
    Fault("whole_set_a_batch", "schedule", "relu", ("batch_size",), {"batch_size": 3_000}),
    Fault("batch_1000_adam", "schedule", "relu_adam", ("batch_size",), {"batch_size": 1_000}),
]

# All weights equal is a bad start because units stay equal: both names are right for zeros and constants.
STARTS = [
    Fault("zero_weights", "start", "relu", ("bad_init", "symmetric_units"), {"initializer": "zeros"}),
    Fault(
        "constant_weights",
        "start",
        "mlp",
        ("symmetric_units", "bad_init"),
        {"initializer": "constant", "init_constant": 0.02},
    ),
    Fault(
        "identical_filters",
        "start",
        "relu_bn",
        ("symmetric_units", "bad_init"),
        parts={"build": model.changed(model.identical_filters)},
        cured_by=("initializer",),
    ),
    # Signals shrink in every layer, and gradients with them.
    Fault(
        "small_weights",
        "start",
        "relu",
        ("bad_init", "vanishing_gradients"),
        {"initializer": "small_gaussian"},
    ),
    Fault(
        "large_weights",
        "start",
        "relu",
        ("bad_init", "exploding_gradients"),
        {"initializer": "gaussian", "init_std": 1.0},
    ),
    Fault(
        "large_weights_tanh",
        "start",
        "tanh_mlp",
        ("bad_init", "saturated_units"),
        {"initializer": "gaussian", "init_std": 1.0},
    ),
    Fault(
        "weights_x10",
        "start",
        "elu_vgg",
        ("bad_init", "exploding_gradients"),
        parts={"build": model.scaled_weights(10.0)},
        cured_by=("initializer",),
    ),
    Fault(
        "dead_biases",
        "start",
        "relu",
        ("dead_units", "bad_init"),
        parts={"build": model.changed(model.dead_biases)},
        fixes=("fix_bias",),
        cured_by=("initializer",),
    ),
    Fault(
        "dead_norm_shifts",
        "start",
        "deep_bn",
        ("dead_units", "bad_init"),
        parts={"build": model.changed(model.dead_shifts)},
        fixes=("fix_bias",),
        cured_by=("initializer",),
    ),
    Fault(
        "nan_weight",
        "start",
        "relu_adam",
        ("bad_init",),
        parts={"build": model.changed(model.broken_weights)},
        cured_by=("initializer",),
    ),
]

NETWORKS = [
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
    # Both names say that the first layers learn nothing because no gradient comes to them.
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

OUTPUTS = [
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

LOSSES = [
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

UPDATES = [
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
    # From outside, no gradient at the time of the step; either advice makes one look at these three lines.
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

MODES = [
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

PENALTIES = [
    Fault("weight_decay_1", "penalty", "relu", ("over_regularized",), {"weight_decay": 1.0}),
    Fault("l1_0.1", "penalty", "elu_vgg", ("over_regularized",), {"l1": 0.1}),
    Fault("dropout_0.95", "penalty", "mlp", ("over_regularized",), {"dropout": 0.95}),
    Fault(
        "spatial_dropout_0.8",
        "penalty",
        "relu_bn",
        ("over_regularized",),
        {"dropout": 0.8, "dropout_kind": "spatial"},
    ),
    Fault("label_smoothing_0.99", "penalty", "relu", ("over_regularized",), {"label_smoothing": 0.99}),
]

IMAGES = [
    Fault(
        "unscaled",
        "images",
        "relu",
        ("input_scale",),
        parts={"prepare_train": data.raw_bytes, "prepare_val": data.raw_bytes},
        fixes=("scale_input", "centre_input"),
    ),
    Fault(
        "scaled_twice",
        "images",
        "relu",
        ("input_scale",),
        parts={"prepare_train": data.scaled_twice, "prepare_val": data.scaled_twice},
        fixes=("scale_input", "centre_input"),
    ),
    Fault(
        "in_millionths",
        "images",
        "elu_vgg",
        ("input_scale",),
        parts={"prepare_train": data.in_millionths, "prepare_val": data.in_millionths},
        fixes=("scale_input",),
    ),
    Fault(
        "off_centre",
        "images",
        "mlp",
        ("input_scale",),
        parts={"prepare_train": data.off_centre, "prepare_val": data.off_centre},
        fixes=("centre_input", "scale_input"),
    ),
    # Without any spread in the input, the network has nothing to look at.
    Fault(
        "all_black",
        "images",
        "relu_bn",
        ("input_scale", "ignores_input"),
        parts={"prepare_train": data.all_black, "prepare_val": data.all_black},
        fixes=("scale_input",),
    ),
    Fault(
        "scrambled_pixels",
        "images",
        "relu_bn",
        ("labels_do_not_match",),
        parts={"prepare_train": data.scrambled, "prepare_val": data.scrambled},
        fixes=("fix_labels",),
    ),
    *(
        Fault(
            f"{name}_in_validation",
            "images",
            base,
            ("train_val_mismatch",),
            parts={"prepare_val": prepare},
            fixes=("same_normalization",),
        )
        for name, base, prepare in (
            ("normalized_twice", "leaky_adamw", data.normalized_twice),
            ("unnormalized", "relu_bn", data.unnormalized),
            ("upside_down", "relu_adam", data.upside_down),
            ("negatives", "relu", data.negatives),
        )
    ),
]

# Images that are spoilt in training alone differ from those of validation too: both names say what is wrong.
AUGMENTATIONS = [
    Fault(
        "crop_and_cutout_x3",
        "augmentation",
        "relu_adam",
        ("augmentation",),
        {"augmentation": "flip_crop_cutout", "augmentation_strength": 3.0},
    ),
    *(
        Fault(
            name,
            "augmentation",
            base,
            ("augmentation", "train_val_mismatch"),
            parts={"augment": augment},
            fixes=("weaken_augmentation", "same_normalization"),
            cured_by=("augmentation",),
        )
        for name, base, augment in (
            ("noise", "relu", data.noisy),
            ("erasing", "elu_vgg", data.erased),
            ("contrast", "relu_bn", data.jittered),
        )
    ),
]

LABELS = [
    Fault(
        name,
        "labels",
        base,
        causes,
        parts=parts,
        fixes=("fix_labels",),
    )
    for name, base, causes, parts in (
        ("shuffled_labels", "relu", ("labels_do_not_match",), {"train_labels": data.shuffled}),
        (
            "labels_of_the_next",
            "relu_bn",
            ("labels_do_not_match",),
            {"train_labels": data.belonging_to_the_next},
        ),
        ("random_labels_0.7", "leaky_adamw", ("labels_do_not_match",), {"train_labels": data.mostly_random}),
        (
            "other_numbering_in_validation",
            "relu_adam",
            ("train_val_mismatch", "labels_do_not_match"),
            {"val_labels": data.next_class},
        ),
        (
            "labels_from_1",
            "relu",
            ("bad_labels",),
            {"train_labels": data.from_one, "val_labels": data.from_one},
        ),
    )
]

BATCHES = [
    Fault(
        name,
        "batches",
        base,
        causes,
        parts=parts,
        fixes=fixes,
    )
    for name, base, causes, parts, fixes in (
        # Wrong labels, and because of them a wrong balance.
        (
            "labels_mostly_zero",
            "relu_bn",
            ("class_imbalance", "labels_do_not_match"),
            {"train_labels": data.mostly_zero},
            ("fix_labels", "rebalance"),
        ),
        (
            "one_class_95",
            "relu_adam",
            ("class_imbalance",),
            {"choose": data.nearly_all_one_class},
            ("rebalance",),
        ),
        (
            "five_classes",
            "relu",
            ("class_imbalance",),
            {"choose": data.five_classes},
            ("rebalance", "fix_labels"),
        ),
        (
            "sorted_by_class",
            "relu_bn",
            ("batch_composition",),
            {"batches": data.sorted_by_class},
            ("shuffle_batches",),
        ),
        (
            "one_class_a_batch",
            "relu",
            ("batch_composition",),
            {"batches": data.one_class_each},
            ("shuffle_batches",),
        ),
        # One batch over and over is learned by heart.
        (
            "always_the_first_batch",
            "relu_adam",
            ("batch_composition", "overfitting"),
            {"batches": data.always_the_first},
            ("shuffle_batches",),
        ),
    )
]

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for group in (
        *(RATES, SCHEDULES, STARTS, NETWORKS, OUTPUTS, LOSSES, UPDATES, MODES),
        *(PENALTIES, IMAGES, AUGMENTATIONS, LABELS, BATCHES),
    )
    for fault in group
}
