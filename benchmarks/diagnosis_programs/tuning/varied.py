"""Faults of every kind in other places, networks and sizes than those of the other files."""

from __future__ import annotations

from torch import nn

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_data as data
from diagnosis_programs.tuning import mistakes_in_model as model
from diagnosis_programs.tuning import mistakes_in_step as step

_SETTINGS = [
    Fault("lr_x200_resnet", "rate", "resnet", ("lr_too_high",), {"lr": 20.0}),
    Fault("lr_x50_tanh", "rate", "tanh_mlp", ("lr_too_high",), {"lr": 0.05}),
    # The optimizer was changed, and its rate was left as it had been for the other.
    Fault("adam_at_rate_of_sgd", "rate", "elu_vgg", ("lr_too_high",), {"optimizer": "adam"}),
    Fault(
        "rmsprop_by_300",
        "rate",
        "elu_vgg",
        ("lr_too_low",),
        {"optimizer": "rmsprop", "momentum": 0.0, "lr": 3e-6},
    ),
    Fault("lr_by_500_resnet", "rate", "resnet", ("lr_too_low",), {"lr": 2e-4}),
    Fault("momentum_0.9995", "rate", "mlp", ("momentum_too_high", "lr_too_high"), {"momentum": 0.9995}),
    Fault(
        "cosine_over_one_epoch",
        "schedule",
        "deep_bn",
        ("schedule",),
        parts={"lr": step.cosine_over_one_epoch},
        cured_by=("schedule",),
    ),
    Fault(
        "step_of_1e-3",
        "schedule",
        "leaky_adamw",
        ("schedule",),
        {"schedule": "step", "step_epochs": 1, "lr_decay": 1e-3},
    ),
    # A warm-up that never ends is a tiny learning rate.
    Fault(
        "endless_warm_up",
        "schedule",
        "tanh_mlp",
        ("schedule", "lr_too_low"),
        parts={"lr": step.thousand_epochs_of_warm_up},
        cured_by=("schedule", "lr", "warmup_epochs"),
    ),
    Fault("batch_1500", "schedule", "elu_vgg", ("batch_size",), {"batch_size": 1_500}),
    Fault("batch_1000_resnet", "schedule", "resnet", ("batch_size",), {"batch_size": 1_000}),
    Fault(
        "gaussian_0.5",
        "start",
        "elu_vgg",
        ("bad_init", "exploding_gradients"),
        {"initializer": "gaussian", "init_std": 0.5},
    ),
    Fault(
        "zero_weights_resnet", "start", "resnet", ("bad_init", "symmetric_units"), {"initializer": "zeros"}
    ),
    Fault(
        "weights_by_30",
        "start",
        "elu_vgg",
        ("bad_init", "vanishing_gradients"),
        parts={"build": model.scaled_weights(1 / 30)},
        cured_by=("initializer",),
    ),
    Fault(
        "dead_biases_mlp",
        "start",
        "mlp",
        ("dead_units", "bad_init"),
        parts={"build": model.changed(model.dead_biases)},
        fixes=("fix_bias",),
        cured_by=("initializer",),
    ),
    Fault("weight_decay_0.5_adam", "penalty", "tanh_mlp", ("over_regularized",), {"weight_decay": 0.5}),
    Fault("dropout_0.9", "penalty", "relu_adam", ("over_regularized",), {"dropout": 0.9}),
    Fault("max_norm_0.01", "penalty", "mlp", ("over_regularized",), {"max_norm": 0.01}),
]

_NETWORKS = [
    Fault(
        "ten_sigmoid_layers",
        "network",
        "mlp",
        ("vanishing_gradients",),
        {"depth": 10, "activation": "sigmoid"},
    ),
    Fault(
        "softmax_over_channels",
        "network",
        "elu_vgg",
        ("vanishing_gradients",),
        parts={"build": model.with_hidden(lambda: nn.Softmax(dim=1))},
        fixes=("replace_hidden_activation",),
        cured_by=("activation",),
    ),
    Fault(
        "detached_halfway",
        "network",
        "deep_bn",
        ("detached", "frozen_parameters"),
        parts={"build": model.changed(model.detached_halfway)},
        fixes=("reattach",),
    ),
    Fault("too_narrow_vgg", "network", "elu_vgg", ("underfitting",), {"width": 1}),
    Fault(
        "one_hundred_fifty_images",
        "network",
        "leaky_adamw",
        ("overfitting",),
        {"train_images": 150, "epochs": 80},
        repairable=False,  # as for two hundred
    ),
    *(
        Fault(
            f"{name}_output_{base}",
            "output",
            base,
            ("softmax_twice",),
            parts={"build": model.with_output(activation)},
            fixes=("remove_output_activation",),
        )
        for name, base, activation in (
            ("softmax", "resnet", nn.Softmax(dim=1)),
            ("sigmoid", "tanh_mlp", nn.Sigmoid()),
            ("relu", "mlp", nn.ReLU()),
        )
    ),
]

_LOSSES = [
    Fault(name, "loss", base, causes, parts={"loss": loss}, fixes=fixes)
    for name, base, causes, loss, fixes in (
        ("negative_loss_adamw", "leaky_adamw", ("wrong_loss",), step.negative_loss, ("fix_loss_sign",)),
        ("nll_of_logits_mlp", "mlp", ("wrong_loss",), step.nll_of_logits, ("use_cross_entropy",)),
        (
            "summed_loss_mlp",
            "mlp",
            ("wrong_loss", "lr_too_high"),
            step.summed_loss,
            ("use_mean_reduction",),
        ),
        (
            "squared_class_number",
            "elu_vgg",
            ("wrong_loss",),
            step.squared_class_number,
            ("use_cross_entropy",),
        ),
    )
]

_LOOPS = [
    Fault(
        "zero_grad_forgotten_mlp",
        "update",
        "mlp",
        ("stale_gradients",),
        parts={"update": step.without_zero_grad},
        fixes=("call_zero_grad",),
    ),
    *(
        Fault(
            name,
            "update",
            base,
            ("frozen_parameters",),
            parts={"optimizer": optimizer},
            fixes=("give_all_parameters",),
        )
        for name, base, optimizer in (
            ("optimizer_of_vectors", "leaky_adamw", step.of_vectors_alone),
            ("optimizer_before_body", "resnet", step.before_body_is_replaced),
        )
    ),
    Fault(
        "train_once",
        "mode",
        "resnet",
        ("eval_mode", "norm_statistics"),
        parts={"train_mode": step.train_once},
        fixes=("call_train",),
    ),
    Fault(
        "statistics_left_behind",
        "mode",
        "deep_bn",
        ("norm_statistics",),
        parts={"eval_mode": step.eval_without_statistics},
        fixes=("fix_norm_momentum",),
    ),
]

_IMAGES = [
    *(
        Fault(
            name,
            "images",
            base,
            ("input_scale",),
            parts={"prepare_train": prepare, "prepare_val": prepare},
            fixes=("scale_input", "centre_input"),
        )
        for name, base, prepare in (
            ("bytes_less_mean", "elu_vgg", data.bytes_less_mean),
            ("as_sixteen_bits", "mlp", data.as_sixteen_bits),
        )
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
            ("mean_kept", "resnet", data.mean_kept),
            ("raw_bytes", "tanh_mlp", data.raw_bytes),
        )
    ),
    # As for the older ones: training images corrupted alone also differ from those of validation.
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
            ("blurred", "leaky_adamw", data.blurred),
            ("turned", "mlp", data.turned),
        )
    ),
]

_LABELS = [
    Fault(name, "labels", base, causes, parts=parts, fixes=("fix_labels",))
    for name, base, causes, parts in (
        ("shuffled_labels_tanh", "tanh_mlp", ("labels_do_not_match",), {"train_labels": data.shuffled}),
        # Labels that are wrong in one split alone: both names are correct.
        (
            "often_the_next_class",
            "mlp",
            ("labels_do_not_match", "train_val_mismatch"),
            {"train_labels": data.often_the_next},
        ),
        (
            "shuffled_in_validation",
            "resnet",
            ("train_val_mismatch", "labels_do_not_match"),
            {"val_labels": data.shuffled},
        ),
        (
            "labels_from_minus_1",
            "mlp",
            ("bad_labels",),
            {"train_labels": data.from_minus_one, "val_labels": data.from_minus_one},
        ),
    )
]

_BATCHES = [
    Fault(name, "batches", base, causes, parts=parts, fixes=fixes)
    for name, base, causes, parts, fixes in (
        (
            "six_classes",
            "leaky_adamw",
            ("class_imbalance",),
            {"choose": data.without_last_four},
            ("rebalance", "fix_labels"),
        ),
        (
            "two_classes_a_batch",
            "resnet",
            ("batch_composition",),
            {"batches": data.two_classes_each},
            ("shuffle_batches",),
        ),
        (
            "short_shuffle_buffer",
            "elu_vgg",
            ("batch_composition",),
            {"batches": data.short_shuffle_buffer},
            ("shuffle_batches",),
        ),
    )
]

VARIED: list[Fault] = [*_SETTINGS, *_NETWORKS, *_LOSSES, *_LOOPS, *_IMAGES, *_LABELS, *_BATCHES]
