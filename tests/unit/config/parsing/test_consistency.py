from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.config.configuration import Configuration
from hpo.config.parsing.consistency import MODEL_DEPTHS, broken_rules
from hpo.config.parsing.load import parse_study
from hpo.errors import StudyFileError
from hpo.search.samplers.registry import sample_slot

DEFAULTS = Configuration().model_dump()


def test_the_defaults_break_no_rule() -> None:
    assert broken_rules(DEFAULTS) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"warmup_epochs": 3, "epochs": 2}, "a warm-up of 3 epochs is longer than the training (2 epochs)"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs momentum above 0"),
        ({"dataset": "folder"}, "dataset: folder needs data_root, the folder that holds train/<class>/"),
        (
            {"schedule": "step", "lr_decay": 2.0},
            "lr_decay 2 would raise lr under schedule: step; use 1 or less",
        ),
        ({"train_images": 32}, "batch_size 64 is larger than train_images 32"),
        ({"batch_size": 1}, "batch normalization needs batch_size of 2 or more"),
        (
            {"preprocessing": "pca", "train_images": 100},
            "pca_components 256 is more than 100 train_images allow",
        ),
        ({"model": "resnet", "depth": 9}, "model resnet has no depth 9; use 6n + 2: 8, 14, 20, 26, 32 ..."),
        ({"model": "vgg", "depth": 7}, "model vgg has no depth 7; use 6, 8, 11 or 13"),
    ],
)
def test_a_contradiction_is_explained(values: dict[str, Any], message: str) -> None:
    assert broken_rules({**DEFAULTS, **values}) == [message]


@pytest.mark.parametrize(
    "values",
    [
        {"nesterov": True, "momentum": 0.0, "optimizer": "adam"},
        {"schedule": "inverse_time", "lr_decay": 2.0},
        {"batch_size": 1, "norm": "group"},
        {"batch_size": 1, "batch_norm": "none"},
        {"model": "my.nets:build", "depth": 9},
    ],
)
def test_what_has_no_effect_is_not_a_contradiction(values: dict[str, Any]) -> None:
    assert broken_rules({**DEFAULTS, **values}) == []


_ENTRIES = {
    "epochs": ["{int: [1, 4]}", "{choice: [1, 3]}"],
    "warmup_epochs": ["{uniform: [0, 2]}", "{int: [0, 3], when: {schedule: cosine}}"],
    "schedule": ["{choice: [cosine, step]}"],
    "lr_decay": ["{log: [0.1, 3], when: {schedule: step}}", "{uniform: [0.1, 1]}"],
    "optimizer": ["{choice: [sgd, adam]}"],
    "nesterov": ["{choice: [yes, no], when: {optimizer: sgd}}", "{choice: [yes, no]}"],
    "momentum": ["{uniform: [0, 0.9]}", "{choice: [0, 0.9], when: {nesterov: true}}"],
    "batch_size": ["{choice: [1, 64]}", "{int: [2, 90]}"],
    "norm": ["{choice: [batch, group], when: {batch_norm: before}}"],
    "batch_norm": ["{choice: [none, before]}"],
    "train_images": ["{int: [64, 200]}", "{choice: [null, 80]}"],
    "model": ["{choice: [convnet, resnet]}"],
    "depth": ["{choice: [5, 8, 14], when: {model: convnet}}", "{int: [8, 14]}"],
}


@settings(deadline=None, max_examples=100)
@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in _ENTRIES.items()}))
def test_what_a_study_draws_breaks_no_rule(entries: dict[str, str]) -> None:
    space = "".join(f"\n  {name}: {entry}" for name, entry in entries.items())
    try:
        spec = parse_study(f"study: s\ntrials: 20\nspace:{space}", "s.yaml")
    except StudyFileError:
        return
    for slot in range(20):
        assert broken_rules(spec.configuration(sample_slot(spec, slot)).model_dump()) == []


def test_depths_that_the_rules_allow_can_be_built_and_no_others() -> None:
    from hpo.models.catalog import MODELS
    from hpo.training.model_factory import network_options

    assert list(MODEL_DEPTHS) == list(MODELS)
    for model, (allowed, _) in MODEL_DEPTHS.items():
        for depth in (1, 2, 5, 6, 7, 8, 9, 11, 13, 14, 17):
            options = network_options(Configuration(model=model, depth=depth, width=1))
            if allowed(depth):
                MODELS[model](options, classes=2)
            elif model not in ("convnet", "mlp"):  # these could be deeper, but would not learn
                with pytest.raises(ValueError):
                    MODELS[model](options, classes=2)
