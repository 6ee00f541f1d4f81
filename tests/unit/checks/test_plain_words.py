"""Remedies name what their reader has: parameters of their own, or plain words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import hpo.checks.rules
from hpo.checks import remedies
from hpo.checks.babysitter import Babysitter
from hpo.checks.plain_words import Vocabulary
from hpo.config.configuration import Configuration
from hpo.records import Remedy

PYTORCHS = {"lr", "weight_decay", "momentum"}
"""Arguments of PyTorch's optimizers."""
FIELDS = sorted(set(Configuration.model_fields) - PYTORCHS)
KEY = re.compile(rf"(?<![\w.])({'|'.join(FIELDS)}): ")
ONLY_HPOS = re.compile(rf"\b({'|'.join(name for name in FIELDS if '_' in name)})\b")


def _texts() -> list[str]:
    """Return all texts of remedies that have a blank; values of f-strings stand as ``64`` or ``he``."""
    files = [Path(remedies.__file__), *Path(next(iter(hpo.checks.rules.__path__))).glob("*.py")]
    calls = [node for file in files for node in ast.walk(ast.parse(file.read_text())) if _makes_remedy(node)]
    within = {id(part) for each in calls for f in _nodes(each, ast.JoinedStr) for part in f.values}
    texts = [_joined(f.values) for each in calls for f in _nodes(each, ast.JoinedStr)]
    constants = [c for each in calls for c in _nodes(each, ast.Constant) if id(c) not in within]
    texts += [each.value for each in constants if isinstance(each.value, str)]
    return [text for text in texts if " " in text.strip()]


def _makes_remedy(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Remedy", "use", "fix")


def _nodes(node: ast.AST, kind: type[Any]) -> list[Any]:
    return [each for each in ast.walk(node) if isinstance(each, kind)]


def _joined(parts: list[ast.expr]) -> str:
    text = ""
    for part in parts:
        value = "he" if text.endswith("initializer: ") else "64"
        text += str(part.value) if isinstance(part, ast.Constant) else value
    return text


def test_no_remedy_of_any_check_names_keys_of_the_built_in_training() -> None:
    texts = _texts()
    assert len(texts) > 60 and any(KEY.search(text) for text in texts)
    said = [Vocabulary().reworded(Remedy(text)).text for text in texts]
    assert [text for text in said if KEY.search(text)] == []
    assert [text for text in said if ONLY_HPOS.search(text)] == []


@pytest.mark.parametrize(
    ("names", "text", "says"),
    [
        ([], "use batch_norm: before, activation: relu, initializer: he; or change lr (it was 0.1)",
         "use batch normalization before the activations, ReLU as the activation, He's initialization; "
         "or change lr (it was 0.1)"),
        ([], "lower lr to 0.01 or less (it was 0.1), or add warmup_epochs or gradient_clip",
         "lower lr to 0.01 or less (it was 0.1), or add a warm-up of lr or gradient clipping"),
        (["learning_rate", "warmup"], "lower lr to 0.01, or add warmup_epochs",
         "lower learning_rate to 0.01, or add warmup"),
        (["optimizer.lr", "batchSize"], "lower lr; batch_size: 64", "lower optimizer.lr; batchSize: 64"),
        (["width"], "use width: 128, less regularization", "use width: 128, less regularization"),
        (["depth"], "use width: 128, less regularization", "use a width of 128, less regularization"),
    ],
)  # fmt: skip
def test_reworded_remedy_has_the_readers_names_or_plain_words(names: list[str], text: str, says: str) -> None:
    assert Vocabulary(names).reworded(Remedy(text)).text == says


def test_change_for_programs_has_only_what_the_reader_can_set() -> None:
    change = {"lr": 0.01, "batch_norm": "before"}
    assert Vocabulary(["eta", "learning_rate"]).reworded(Remedy("x", change)).change == {
        "learning_rate": 0.01
    }
    assert Vocabulary(["eta"]).reworded(Remedy("x", change)).change == {}
    assert Vocabulary(["eta"]).reworded(Remedy("x", {"code": "call_step"})).change == {"code": "call_step"}
    assert Vocabulary().reworded(Remedy("x", change)).change == change


def test_babysitter_of_a_loop_with_a_configuration_keeps_its_keys() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    assert Babysitter(model, optimizer, configuration={"lr": 0.1}).vocabulary is None
    assert Babysitter(model, optimizer).vocabulary == Vocabulary()
