"""What people do wrong in training loops, the causes that count as right, and the code fixes that undo it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A kind of mistake: ``causes`` are keys of hpo's CAUSES that name it, the expected one first."""

    causes: tuple[str, ...]
    fixes: tuple[str, ...] = ()
    """Values of ``Verdict.change["code"]`` that ask for what undoes it."""


MISTAKES: dict[str, Mistake] = {
    # the update
    "no_zero_grad": Mistake(("stale_gradients",), ("call_zero_grad",)),
    "no_step": Mistake(("no_update",), ("call_step", "call_zero_grad")),
    "no_backward": Mistake(("no_update",), ("call_step", "call_zero_grad")),
    "not_in_optimizer": Mistake(("frozen_parameters",), ("give_all_parameters", "unfreeze")),
    "not_registered": Mistake(("frozen_parameters", "detached"), ("give_all_parameters", "reattach")),
    "optimizer_of_old_model": Mistake(
        ("frozen_parameters", "no_update"), ("give_all_parameters", "unfreeze", "call_step")
    ),
    "frozen": Mistake(("frozen_parameters",), ("unfreeze", "give_all_parameters")),
    "detached": Mistake(("detached", "frozen_parameters"), ("reattach",)),
    "graph_kept": Mistake(("graph_kept", "detached", "error"), ("detach_losses", "reattach")),
    "clipped_to_nothing": Mistake(("schedule", "lr_too_low", "vanishing_gradients"), ("scale_loss",)),
    "gradients_underflow": Mistake(("vanishing_gradients", "no_update", "lr_too_low"), ("scale_loss",)),
    # settings
    "lr_too_high": Mistake(("lr_too_high",)),
    "lr_too_low": Mistake(("lr_too_low",)),
    "momentum_too_high": Mistake(("momentum_too_high", "lr_too_high")),
    "weight_decay_too_high": Mistake(("over_regularized",)),
    "dropout_too_high": Mistake(("over_regularized",)),
    "schedule_per_batch": Mistake(("schedule", "lr_too_low"), ("fix_schedule",)),
    "schedule_to_zero": Mistake(("schedule", "lr_too_low"), ("fix_schedule",)),
    "sum_reduction": Mistake(
        ("lr_too_high", "exploding_gradients", "exploding_loss", "wrong_loss"), ("use_mean_reduction",)
    ),
    "exploding_gradients": Mistake(("exploding_gradients", "lr_too_high"), ("clip_gradients",)),
    # the network
    "zero_init": Mistake(("symmetric_units", "bad_init"), ("fix_bias", "fix_init")),
    "large_init": Mistake(("bad_init", "exploding_gradients", "saturated_units")),
    "dead_biases": Mistake(("dead_units", "bad_init"), ("fix_bias",)),
    "saturated": Mistake(("saturated_units", "vanishing_gradients", "bad_init")),
    "ignores_input": Mistake(("ignores_input",)),
    "collapse": Mistake(("ignores_input", "wrong_loss", "not_learning")),
    "too_small": Mistake(("underfitting", "not_learning")),
    "own_gradient": Mistake(("wrong_gradient", "detached", "vanishing_gradients")),
    # modes
    "always_eval": Mistake(("eval_mode",), ("call_train",)),
    "validates_in_training_mode": Mistake(
        ("validation_mode", "eval_mode", "norm_statistics"), ("call_eval",)
    ),
    "gradients_in_validation": Mistake(("validation_mode", "eval_mode", "error"), ("no_grad",)),
    # the loss
    "softmax_twice": Mistake(("softmax_twice",), ("remove_output_activation", "use_cross_entropy")),
    "sigmoid_twice": Mistake(("softmax_twice",), ("remove_output_activation",)),
    "softmax_over_batch": Mistake(
        ("softmax_twice", "wrong_loss"), ("remove_output_activation", "use_cross_entropy")
    ),
    "broadcast": Mistake(("wrong_loss",), ("fix_shapes",)),
    "wrong_sign": Mistake(("wrong_loss",), ("fix_loss_sign",)),
    "wrong_target": Mistake(("wrong_loss", "labels_do_not_match"), ("fix_labels",)),
    "exp_twice": Mistake(("wrong_loss", "exploding_loss"), ("remove_output_activation",)),
    "bounded_logits": Mistake(("wrong_loss", "softmax_twice", "underfitting", "lr_too_low")),
    "penalty_too_heavy": Mistake(("over_regularized", "wrong_loss", "ignores_input")),
    "shifted_twice": Mistake(("wrong_loss", "labels_do_not_match"), ("fix_labels",)),
    "no_log": Mistake(("wrong_loss", "softmax_twice"), ("use_cross_entropy",)),
    "not_a_scalar": Mistake(("wrong_loss", "error"), ("use_mean_reduction",)),
    "nan_at_first": Mistake(("wrong_loss", "exploding_loss", "error")),
    "padding_counts": Mistake(("wrong_loss", "class_imbalance"), ("ignore_padding",)),
    "targets_overwritten": Mistake(("labels_do_not_match", "wrong_loss", "bad_labels"), ("fix_labels",)),
    # the data
    "labels_shuffled": Mistake(("labels_do_not_match",), ("fix_labels",)),
    "labels_out_of_range": Mistake(("bad_labels",), ("fix_labels",)),
    "label_leak": Mistake(("label_leak", "train_val_mismatch", "wrong_loss"), ("hide_answer", "fix_labels")),
    "validation_in_training": Mistake(
        ("validation_leak", "train_val_mismatch", "overfitting"), ("split_data",)
    ),
    "validation_differs": Mistake(("train_val_mismatch",), ("same_normalization",)),
    "not_scaled": Mistake(("input_scale",), ("scale_input", "centre_input")),
    "scaled_to_nothing": Mistake(("input_scale",), ("scale_input",)),
    "wrong_axis": Mistake(("input_scale", "ignores_input", "train_val_mismatch"), ("scale_input",)),
    "not_shuffled": Mistake(("batch_composition",), ("shuffle_batches",)),
    "same_batch": Mistake(("batch_composition", "overfitting"), ("shuffle_batches",)),
    "augments_alike": Mistake(("augmentation",), ("seed_workers",)),
    "few_examples": Mistake(("overfitting",)),
    "one_class": Mistake(("class_imbalance",), ("rebalance",)),
    "target_not_scaled": Mistake(
        ("input_scale", "exploding_loss", "lr_too_low", "underfitting", "wrong_loss"), ("scale_input",)
    ),
    "few_validation_examples": Mistake(("few_validation_images",)),
    "small_batches": Mistake(("batch_size", "norm_statistics")),
}
