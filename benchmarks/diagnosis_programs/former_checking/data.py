"""Faults of images, labels and batches, on other networks and optimizers."""

from __future__ import annotations

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_data as data
from diagnosis_programs.tuning import mistakes_in_step as step

_IMAGES = [
    # Hardly a pixel differs from another: there is next to nothing to look at.
    Fault(
        "cut_to_integers",
        "images",
        "gelu_layer_norm",
        ("input_scale", "ignores_input"),
        parts={"prepare_train": data.cut_to_integers, "prepare_val": data.cut_to_integers},
        fixes=("scale_input", "centre_input"),
    ),
    Fault(
        "constants_of_bytes",
        "images",
        "lenet_tanh",
        ("input_scale",),
        parts={"prepare_train": data.constants_of_bytes, "prepare_val": data.constants_of_bytes},
        fixes=("scale_input", "centre_input"),
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
            ("blue_for_red", "gelu_layer_norm", data.blue_for_red),
            ("zoomed", "separable_bn", data.zoomed),
        )
    ),
]

# Images corrupted in training alone also differ from those of validation: both names are correct.
_AUGMENTATIONS = [
    Fault(
        name,
        "augmentation",
        base,
        causes,
        parts={"augment": augment},
        fixes=("weaken_augmentation", "same_normalization", *more_fixes),
        cured_by=("augmentation",),
    )
    for name, base, causes, augment, more_fixes in (
        # The image does not show what the label names.
        (
            "mixup_without_labels",
            "maxout_adagrad",
            ("augmentation", "labels_do_not_match", "train_val_mismatch"),
            data.faint,
            ("fix_labels",),
        ),
        ("jigsaw", "selu_mlp", ("augmentation", "train_val_mismatch"), data.jigsaw, ()),
        ("tiny_crop", "resnet14_group_norm", ("augmentation", "train_val_mismatch"), data.tiny_crop, ()),
    )
]

_LABELS = [
    # A wrong pairing, which the line of the loss makes.
    Fault(
        "labels_of_the_neighbour",
        "labels",
        "maxout_adagrad",
        ("labels_do_not_match", "wrong_loss"),
        parts={"loss": step.labels_of_the_neighbour},
        fixes=("fix_labels", "use_cross_entropy"),
    ),
    *(
        Fault(name, "labels", base, causes, parts={"train_labels": labels}, fixes=("fix_labels", *more_fixes))
        for name, base, causes, labels, more_fixes in (
            # In training it is only another numbering, so both names are correct.
            (
                "labels_reversed",
                "strided_rmsprop",
                ("train_val_mismatch", "labels_do_not_match"),
                data.reversed_order,
                (),
            ),
            ("void_labels", "resnet14_group_norm", ("bad_labels",), data.void, ()),
            # Numbers that no class has, and so five classes that are never seen.
            (
                "half_ignored",
                "centred_adam",
                ("bad_labels", "class_imbalance"),
                data.half_ignored,
                ("rebalance",),
            ),
        )
    ),
]

_BATCHES = [
    Fault(
        "blocks_in_random_order",
        "batches",
        "separable_bn",
        ("batch_composition",),
        parts={"batches": data.blocks_in_random_order},
        fixes=("shuffle_batches",),
    ),
    Fault(
        "long_tail",
        "batches",
        "lenet_tanh",
        ("class_imbalance",),
        parts={"choose": data.long_tail},
        fixes=("rebalance",),
    ),
]

DATA: list[Fault] = [*_IMAGES, *_AUGMENTATIONS, *_LABELS, *_BATCHES]
