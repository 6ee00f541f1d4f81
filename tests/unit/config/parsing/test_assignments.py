"""Known configurations as `hpo enqueue` reads them."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.config.parsing.assignments import read_assignments, surprises
from hpo.config.study import StudySpec
from hpo.errors import StudyFileError, UserError
from hpo.search.samplers.registry import sample_slot

SPEC = StudySpec.model_validate(
    {
        "study": "s",
        "trials": 5,
        "fixed": {"dataset": "synthetic", "epochs": 3},
        "space": {
            "lr": {"log": [1e-4, 0.1]},
            "optimizer": {"choice": ["sgd", "adam"]},
            "momentum": {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}},
        },
    }
)


def test_values_have_the_type_of_their_field_and_may_leave_the_space() -> None:
    given = read_assignments(
        SPEC, ["lr=1", "activation=gelu", "batch_size=1e2", "nesterov=no", "gradient_clip=none"]
    )
    assert given == {
        "lr": 1.0, "activation": "gelu", "batch_size": 100, "nesterov": False, "gradient_clip": None,
    }  # fmt: skip
    assert isinstance(given["lr"], float) and isinstance(given["batch_size"], int)


def test_assignments_switch_conditional_hyperparameters_only() -> None:
    drawn = sample_slot(SPEC, 3)
    assert sample_slot(SPEC.with_fixed({"optimizer": "adam"}), 3) == {"lr": drawn["lr"]}
    with_sgd = sample_slot(SPEC.with_fixed({"optimizer": "sgd"}), 3)
    assert set(with_sgd) == {"lr", "momentum"}
    assert with_sgd["lr"] == drawn["lr"]
    assert set(sample_slot(SPEC.with_fixed({"optimizer": "sgd", "momentum": 0.5}), 3)) == {"lr"}


@pytest.mark.parametrize(
    ("pair", "error", "message"),
    [
        ("dataset=cifar10", UserError, "dataset cannot be set here: all trials of a study share it"),
        ("lrate=1", UserError, "unknown hyperparameter 'lrate'"),
        ("trials=3", UserError, "unknown hyperparameter 'trials'"),
        ("lr={log: [1e-3, 1]}", UserError, "lr needs one value here, e.g. lr=0.05"),
        ("lr=fast", StudyFileError, "  lr=fast: lr: 'fast' is not a number"),
        ("=5", UserError, "'=5' has no name before =: write key=value, e.g. epochs=2"),
        ("lr=1_0", StudyFileError, "  lr=1_0: lr: '1_0' is not a number"),
        ("lr", StudyFileError, "  lr: has no = (write key=value, e.g. epochs=2)"),
        (
            "warmup_epochs=4",
            StudyFileError,
            "  warmup_epochs=4: warmup_epochs: a warm-up of 4 epochs is longer",
        ),
    ],
)
def test_mistakes_are_reported_with_what_was_given(pair: str, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        read_assignments(SPEC, [pair])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["lr=0.1", "lr=0.2"], "lr is given more than once (lr=0.1, lr=0.2): keep one"),
        (["lr=0.1", " lr =0.1"], "lr is given more than once"),
        (
            ["optimizer=adam", "momentum=0.5"],
            "momentum has no effect with optimizer adam: leave it out, or set optimizer to sgd or rmsprop",
        ),
        (["beta1=0.5", "optimizer=sgd"], "beta1 has no effect with optimizer sgd"),
        (["nesterov=yes", "optimizer=rmsprop"], "nesterov has no effect with optimizer rmsprop"),
        (["norm_groups=4"], "norm_groups has no effect with norm batch (as in this study)"),
        (
            ["norm_groups=4", "norm=group", "batch_norm=none"],
            "norm_groups has no effect with batch_norm none: ",
        ),
    ],
)
def test_assignments_that_would_be_ignored_are_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_assignments(SPEC, pairs)
    assert message in str(caught.value)


def test_surprises_tell_what_sets_a_trial_apart() -> None:
    assert list(surprises(SPEC, {"lr": 0.1, "optimizer": "sgd", "momentum": 0.8, "epochs": 3})) == []
    assert list(surprises(SPEC, {"lr": 1.0, "optimizer": "rmsprop", "epochs": 4})) == [
        "lr 1 is outside of the study's space (log 1e-4 to 0.1)",
        "optimizer rmsprop is outside of the study's space (sgd, adam)",
        "epochs is not searched: the study's other trials have epochs 3",
    ]
