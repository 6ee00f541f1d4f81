"""Causes and the lecture's checks in plain words, for a reader who was never told."""

from __future__ import annotations

from dataclasses import dataclass

CAUSES_EXPLAINED: dict[str, str] = {
    "out_of_memory": "The network or its batches did not fit into memory.",
    "error": "The program stopped with an error; nothing is known of these settings.",
    "worker_died": "Workers died over it time and again, so it was given up.",
    "bad_labels": "Some labels name classes that the network does not have.",
    "wrong_loss": "The loss function is not the cross-entropy of these outputs and labels.",
    "softmax_twice": (
        "The outputs are squeezed before the loss squeezes them again, which leaves little to learn from."
    ),
    "no_update": "The optimizer never changed the weights.",
    "frozen_parameters": "Some weights were never handed to the optimizer, or are frozen.",
    "detached": "Part of the network gets no gradient: something cuts the way back.",
    "stale_gradients": "Gradients of earlier steps are still there and pile up.",
    "eval_mode": "The network was trained as if it were being tested.",
    "wrong_gradient": "Backward does not compute the derivative of forward.",
    "batch_composition": "Batches hold few classes each, so steps pull in turns in different directions.",
    "class_imbalance": "One class has most of the images; naming it always looks good.",
    "norm_statistics": (
        "What batch norm remembers of the images does not fit them when the network is tested."
    ),
    "train_val_mismatch": "Training and validation images are not of the same kind.",
    "input_scale": "The pixels' range is far from what weights and steps are made for.",
    "augmentation": "The random changes leave too little of the images to recognize.",
    "momentum_too_high": "Steps of long ago still push: the weights overshoot.",
    "over_regularized": "The penalty on the weights outweighs what the images say.",
    "schedule": "The learning rate was gone before the training was over.",
    "batch_size": "Too few steps were taken to learn anything.",
    "ignores_input": "The same comes out whatever image goes in.",
    "symmetric_units": "All units of a layer start alike and so stay alike.",
    "bad_init": "The weights started so that signals die out, or blow up, on their way through the layers.",
    "lr_too_high": (
        "Each step was so long that it jumped over what it was looking for: the loss rises, often to "
        "infinity."
    ),
    "vanishing_gradients": (
        "What the last layers learn hardly reaches the first ones, which stay as they were."
    ),
    "exploding_gradients": "Gradients grow from layer to layer until a step destroys the weights.",
    "dead_units": "Units give the same for every image, and get no gradient that could wake them.",
    "saturated_units": (
        "Units sit at the flat ends of their nonlinearity, where gradients are next to nothing."
    ),
    "lr_too_low": "Each step was so short that the loss hardly moved in the time it had.",
    "labels_do_not_match": (
        "It learns a few images by heart and nothing from many: labels and images do not belong together."
    ),
    "exploding_loss": "The loss rose far above where it began, and did not come back.",
    "not_learning": "The loss stayed where guessing is.",
    "underfitting": "It did learn, but not even the training images well.",
    "overfitting": "It knows the training images by heart and does worse on others.",
    "stopped_early": "Nothing was wrong: others were ahead of it, and the time went to them.",
    "running": "Not over yet.",
}
"""What happened in a trial with that cause."""


@dataclass(frozen=True)
class Lesson:
    """One of the lecture's checks (CS231n, lecture 6), and which of ours make it."""

    title: str
    why: str
    checks: tuple[str, ...]


LESSONS: tuple[Lesson, ...] = (
    Lesson(
        "The first loss is ln C",
        "A network that knows nothing should be as unsure as guessing: with 10 classes its loss is ln 10 "
        "= 2.303. Far more means that it starts out confident and wrong.",
        ("initial_loss",),
    ),
    Lesson(
        "Regularization raises it",
        "A penalty on the weights must raise that first loss, a little. If it does not, it acts on nothing.",
        ("regularized_loss",),
    ),
    Lesson(
        "Twenty images by heart",
        "A sound network can learn 20 images perfectly, without regularization. One that cannot is "
        "broken, or its steps are of the wrong size.",
        ("overfit_small",),
    ),
    Lesson(
        "The loss goes down",
        "A loss that barely moves speaks for a learning rate that is too low; one that ends at guessing "
        "learned nothing.",
        ("not_learning", "too_slow", "learned"),
    ),
    Lesson(
        "The loss does not explode",
        "A loss over three times the first one, or NaN, does not come back: nearly always the learning "
        "rate is too high.",
        ("exploding_loss", "rough_start"),
    ),
    Lesson(
        "Updates of about a thousandth",
        "One step should change the weights by some 1/1000 of their size. Much more destroys them, much "
        "less wastes time.",
        ("update_ratio",),
    ),
    Lesson(
        "Signals live in every layer",
        "Activations that all are zero, all saturated, or that shrink from layer to layer cannot carry "
        "what is to be learned; initialization and batch norm decide that.",
        ("activation_scale", "gradient_scale", "dead_units", "saturated_units"),
    ),
    Lesson(
        "The gap between training and validation",
        "A large gap means overfitting: regularize more. No gap at a low level means that the network "
        "could be larger.",
        ("overfitting", "underfitting"),
    ),
    Lesson(
        "Images are centred and scaled",
        "Pixels around zero with a spread of about one suit the usual weights and steps.",
        ("input_scale",),
    ),
    Lesson(
        "The gradient is right",
        "Backward must agree with a numeric derivative. Only for code that is new: `checks: full`.",
        ("gradient_check",),
    ),
)
"""The lecture's checks in its order of work."""
