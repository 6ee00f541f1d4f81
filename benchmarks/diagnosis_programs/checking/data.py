"""The checking half: faults of images, labels and batches."""

from __future__ import annotations

from diagnosis_programs.checking import mistakes_in_data as data
from diagnosis_programs.fault import Fault

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
            ("bytes_with_unit_constants", "lecun_tanh", data.bytes_with_unit_constants),
            ("rescaled_bytes", "orthogonal_mlp", data.rescaled_bytes),
            ("sum_of_one", "alexnet_minmax", data.sum_of_one),
            ("times_deviation", "lenet_adagrad", data.times_deviation),
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
            ("bytes", "nin_step", data.unscaled),
            ("planes", "inception_one_cycle", data.as_planes),
            ("transposed", "densenet_elu", data.transposed),
            ("thumbnails", "prelu_vgg", data.thumbnails),
        )
    ),
    Fault(
        "in_the_other_order",
        "images",
        "convmixer",
        ("labels_do_not_match",),
        parts={"prepare_train": data.in_the_other_order},
        fixes=("fix_labels",),
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
        ("shrunk", "preact", ("augmentation", "train_val_mismatch"), data.shrunk, ()),
        ("out_of_frame", "wide_mlp", ("augmentation", "train_val_mismatch"), data.out_of_frame, ()),
        ("brightened_by_30", "nin_step", ("augmentation", "train_val_mismatch"), data.brightened, ()),
        # The image does not show what the label names.
        (
            "pasted_over",
            "inception_one_cycle",
            ("augmentation", "labels_do_not_match", "train_val_mismatch"),
            data.pasted,
            ("fix_labels",),
        ),
        (
            "reordered_in_the_batch",
            "lsuv",
            ("labels_do_not_match", "augmentation"),
            data.reordered,
            ("fix_labels",),
        ),
    )
]

_LABELS = [
    Fault(name, "labels", base, causes, parts=parts, fixes=("fix_labels", *more_fixes))
    for name, base, causes, parts, more_fixes in (
        ("ten_for_zero", "alexnet_minmax", ("bad_labels",), {"train_labels": data.ten_for_zero}, ()),
        ("fine_classes", "densenet_elu", ("bad_labels",), {"train_labels": data.fine_classes}, ()),
        (
            "nearly_random_labels",
            "lecun_tanh",
            ("labels_do_not_match",),
            {"train_labels": data.nearly_random},
            (),
        ),
        # Five classes are never seen in training, and what the others are called there is another name.
        (
            "halved_labels",
            "wide_mlp",
            ("class_imbalance", "train_val_mismatch"),
            {"train_labels": data.halved},
            ("rebalance",),
        ),
        # In training it would be only another numbering, so both names are correct.
        (
            "swapped_pairs_in_validation",
            "softplus_layer_norm",
            ("train_val_mismatch", "labels_do_not_match"),
            {"val_labels": data.swapped_pairs},
            (),
        ),
    )
]

_BATCHES = [
    *(
        Fault(
            name, "batches", base, causes, parts={"batches": batches}, fixes=("shuffle_batches", *more_fixes)
        )
        for name, base, causes, batches, more_fixes in (
            ("thirds", "densenet_elu", ("batch_composition",), data.thirds, ()),
            ("two_images_a_batch", "prelu_vgg", ("batch_composition",), data.two_images_each, ()),
            ("one_folder_at_a_time", "convmixer", ("batch_composition",), data.one_folder_at_a_time, ()),
            ("first_five_batches", "lsuv", ("batch_composition", "overfitting"), data.first_five, ()),
            (
                "sampler_weights_by_rank",
                "softplus_layer_norm",
                ("class_imbalance", "batch_composition"),
                data.weights_by_rank,
                ("rebalance",),
            ),
        )
    ),
    Fault(
        "three_classes_97",
        "batches",
        "preact",
        ("class_imbalance",),
        parts={"choose": data.three_classes},
        fixes=("rebalance",),
    ),
]

DATA: list[Fault] = [*_IMAGES, *_AUGMENTATIONS, *_LABELS, *_BATCHES]
