"""Causes and the lecture's checks explained to a reader who knows neither."""

from __future__ import annotations

from dataclasses import dataclass

CAUSES_EXPLAINED: dict[str, str] = {
    "out_of_memory": "The network or its batches did not fit into memory, or the system ended its workers.",
    "error": "The program stopped with an error; nothing is known about these settings.",
    "worker_died": "Workers died repeatedly while training it, so it was given up.",
    "time_limit": "It reached the study's limit of time for a trial.",
    "memory_limit": "It used more memory than the study allows a trial.",
    "bad_labels": "Some labels name classes that the network does not have.",
    "wrong_loss": "The loss function is not the cross-entropy of these outputs and labels.",
    "softmax_twice": (
        "A softmax is applied to the outputs before the one in the loss, which flattens the gradient."
    ),
    "no_update": "The optimizer never changed the weights.",
    "frozen_parameters": "Some weights were never passed to the optimizer, or are frozen.",
    "graph_kept": "Graphs of earlier steps are kept alive: memory and time grow with every step.",
    "detached": "Part of the network gets no gradient: something cuts the backward pass.",
    "stale_gradients": "Gradients of earlier steps are not cleared and add up.",
    "eval_mode": "The network was trained in evaluation mode.",
    "wrong_gradient": "The backward pass does not compute the derivative of the forward pass.",
    "batch_composition": "Batches hold few classes each, so consecutive steps pull in different directions.",
    "class_imbalance": "Most images belong to one class, so always predicting it looks good.",
    "norm_statistics": "The statistics that batch norm collected in training do not fit the evaluation.",
    "label_leak": "The network sees the answer in its input, which it will not have later.",
    "validation_leak": "Validation examples are also trained on, so validation looks better than it is.",
    "validation_mode": "Validation ran in training mode, or recorded gradients.",
    "train_val_mismatch": "Training and validation images have different distributions.",
    "input_scale": "The range of the pixels is far from what the weights and steps are made for.",
    "augmentation": "The augmentation leaves too little of the images to recognize.",
    "momentum_too_high": "Old gradients still dominate the steps: the weights overshoot.",
    "over_regularized": "The penalty on the weights outweighs the loss on the images.",
    "schedule": "The learning rate reached almost zero long before the end of the training.",
    "batch_size": "There were too few steps to learn anything.",
    "ignores_input": "The output is the same for every example.",
    "symmetric_units": "All units of a layer start equal and therefore stay equal.",
    "bad_init": "With the initial weights, signals vanish or explode on their way through the layers.",
    "lr_too_high": "Each step was so large that it overshot the minimum: the loss rises, often to infinity.",
    "vanishing_gradients": "Gradients shrink toward the first layers, which therefore hardly change.",
    "exploding_gradients": "Gradients grow from layer to layer until a step destroys the weights.",
    "dead_units": "Units output the same for every example, and get no gradient that could revive them.",
    "saturated_units": "Units operate in the flat parts of their nonlinearity, with gradients near zero.",
    "lr_too_low": "Each step was so small that the loss hardly changed in the available time.",
    "labels_do_not_match": (
        "It memorizes a few images but learns nothing from many: labels and images do not belong together."
    ),
    "exploding_loss": "The loss rose far above its first value, and did not recover.",
    "few_validation_images": "So few images are held out that guessing may reach the same accuracy.",
    "not_learning": "The loss stayed at the level of guessing.",
    "underfitting": "It learned, but does not even fit the training images well.",
    "overfitting": "It has memorized the training images and is worse on others.",
    "stopped_early": "Nothing was wrong: other trials were ahead, and got the time instead.",
    "running": "It has not ended yet.",
}
"""What happened in a trial with this cause."""


@dataclass(frozen=True)
class Lesson:
    """One of the lecture's checks (CS231n, lecture 6), and the checks of hpo that implement it."""

    title: str
    why: str
    checks: tuple[str, ...]


LESSONS: tuple[Lesson, ...] = (
    Lesson(
        "The first loss is ln C",
        "An untrained network should be as uncertain as guessing: with 10 classes its loss is ln 10 = 2.303. "
        "A much higher loss means that it starts out confident and wrong.",
        ("initial_loss",),
    ),
    Lesson(
        "Regularization raises the loss",
        "A penalty on the weights must raise the first loss a little. If it does not, it has no effect.",
        ("regularized_loss",),
    ),
    Lesson(
        "Overfit twenty images",
        "A working network can memorize 20 images perfectly without regularization. If it cannot, it is "
        "broken, or its steps have the wrong size.",
        ("overfit_small",),
    ),
    Lesson(
        "The loss goes down",
        "A loss that barely changes suggests that the learning rate is too low; one that ends at the level "
        "of guessing means that nothing was learned.",
        ("not_learning", "too_slow", "learned"),
    ),
    Lesson(
        "The loss does not explode",
        "A loss above three times the first one, or NaN, does not recover. Almost always the learning rate "
        "is too high.",
        ("exploding_loss", "rough_start"),
    ),
    Lesson(
        "Updates are about 1/1000 of the weights",
        "A step should change the weights by about 1/1000 of their size. Much more destroys them, much "
        "less wastes time.",
        ("update_ratio",),
    ),
    Lesson(
        "Every layer carries a signal",
        "Activations that are all zero, all saturated, or that shrink from layer to layer carry no "
        "information; initialization and batch norm decide that.",
        ("activation_scale", "gradient_scale", "dead_units", "saturated_units"),
    ),
    Lesson(
        "The gap between training and validation",
        "A large gap means overfitting: regularize more. No gap at a low accuracy means that the network "
        "could be larger.",
        ("overfitting", "underfitting"),
    ),
    Lesson(
        "Images are centered and scaled",
        "Pixels with mean 0 and a standard deviation of about 1 suit the usual weights and steps.",
        ("input_scale",),
    ),
    Lesson(
        "The gradient is right",
        "The backward pass must agree with a numeric derivative. Only for new code: `checks: full`.",
        ("gradient_check",),
    ),
)
"""The lecture's checks, in its order."""
