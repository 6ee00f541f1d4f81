"""Faults of images, labels and batches."""

from __future__ import annotations

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_data as data

_IMAGES = [
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

# Images corrupted in training alone also differ from those of validation: both names are correct.
_AUGMENTATIONS = [
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

_LABELS = [
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
            {"train_labels": data.lagging_behind},
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

_BATCHES = [
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

DATA: list[Fault] = [*_IMAGES, *_AUGMENTATIONS, *_LABELS, *_BATCHES]
